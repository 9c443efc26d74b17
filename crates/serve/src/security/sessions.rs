//! Sessions of browsers, in memory only. A restart ends all of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use attestry::hash_content;
use subtle::ConstantTimeEq as _;

use super::tokens::{Token, Tokens, random_secret};

/// A session ends so long after the last request.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// A session ends so long after the log-in.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions of one token; of more, the one that was used least recently ends.
const PER_TOKEN: usize = 20;
/// Sessions of all tokens.
const TOTAL: usize = 1000;
/// The length of the value of a cookie.
const SECRET_LENGTH: usize = 64;

/// The sessions, and the key that binds the forms of a page to the cookie of a browser.
pub(crate) struct Sessions {
    /// By the SHA-256 of the cookie.
    by_hash: Mutex<HashMap<String, Session>>,
    /// The token that logs in once.
    once: Mutex<Option<Token>>,
    key: String,
}

#[derive(Clone)]
struct Session {
    token: Token,
    /// Whether the token is one of the file, and must stay in it.
    is_listed: bool,
    created: Instant,
    used: Instant,
}

impl Sessions {
    /// No sessions; `once` can begin one, once.
    pub(crate) fn new(once: Option<Token>) -> Self {
        Self { by_hash: Mutex::default(), once: Mutex::new(once), key: random_secret() }
    }

    /// A value for the cookie of a browser, which no other browser has.
    pub(crate) fn new_cookie() -> String {
        random_secret()
    }

    /// Whether `cookie` has the form of a cookie that the server set.
    pub(crate) fn is_cookie(cookie: &str) -> bool {
        cookie.len() == SECRET_LENGTH && cookie.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Begins a session of `token`, which is one of the file. Returns its cookie.
    pub(crate) fn begin(&self, token: Token) -> String {
        self.insert(token, true)
    }

    /// The token with the secret that can be used once, unless it was.
    pub(crate) fn once(&self, secret: &str) -> Option<Token> {
        let once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        once.as_ref().filter(|token| token.has_secret(secret)).cloned()
    }

    /// Begins a session with the secret that can be used once. Returns the token and the cookie.
    pub(crate) fn begin_once(&self, secret: &str) -> Option<(Token, String)> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        let token = once.take_if(|token| token.has_secret(secret))?;
        drop(once);
        let cookie = self.insert(token.clone(), false);
        Some((token, cookie))
    }

    /// The token of the session with this cookie, unless it has ended, or the token has left the file. The session is
    /// used.
    pub(crate) fn find(&self, cookie: &str, tokens: &Tokens) -> Option<Token> {
        self.find_at(cookie, tokens, Some(Instant::now()))
    }

    /// [`find`](Self::find) for what a page does by itself: the session is not used.
    pub(crate) fn peek(&self, cookie: &str, tokens: &Tokens) -> Option<Token> {
        self.find_at(cookie, tokens, None)
    }

    fn find_at(&self, cookie: &str, tokens: &Tokens, used: Option<Instant>) -> Option<Token> {
        let mut sessions = self.lock();
        let hash = hash_content(cookie);
        let session = sessions.get_mut(&hash)?;
        let is_known = !session.is_listed || tokens.iter().any(|token| *token == session.token);
        if session.has_ended() || !is_known {
            sessions.remove(&hash);
            return None;
        }
        session.used = used.unwrap_or(session.used);
        Some(session.token.clone())
    }

    /// Ends the session with this cookie.
    pub(crate) fn end(&self, cookie: &str) {
        self.lock().remove(&hash_content(cookie));
    }

    /// What a form must send back, so that it is from a page that this browser was given.
    pub(crate) fn form_token(&self, cookie: &str) -> String {
        hash_content(&format!("{}.{cookie}", self.key))
    }

    /// Whether a form with `given` is from a page that the browser with `cookie` was given.
    pub(crate) fn is_form_token(&self, cookie: &str, given: &str) -> bool {
        self.form_token(cookie).as_bytes().ct_eq(given.as_bytes()).into()
    }

    fn insert(&self, token: Token, is_listed: bool) -> String {
        let cookie = random_secret();
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.has_ended());
        if sessions.values().filter(|session| session.token == token).count() >= PER_TOKEN {
            remove_oldest(&mut sessions, |session| session.token == token);
        } else if sessions.len() >= TOTAL {
            remove_oldest(&mut sessions, |_| true);
        }
        let now = Instant::now();
        let session = Session { token, is_listed, created: now, used: now };
        sessions.insert(hash_content(&cookie), session);
        cookie
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn has_ended(&self) -> bool {
        self.used.elapsed() > IDLE || self.created.elapsed() > LIFETIME
    }
}

/// Without the key.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("sessions", &self.lock().len()).finish_non_exhaustive()
    }
}

fn remove_oldest(sessions: &mut HashMap<String, Session>, among: impl Fn(&Session) -> bool) {
    let oldest = sessions.iter().filter(|(_, session)| among(session));
    let oldest = oldest.min_by_key(|(_, session)| session.used).map(|(hash, _)| hash.clone());
    if let Some(hash) = oldest {
        sessions.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::super::role::Role;
    use super::*;

    fn token(name: &str) -> (Token, Tokens) {
        let (token, _) = Token::generate(name, Role::Read).unwrap();
        let tokens = token.to_string().parse().unwrap();
        (token, tokens)
    }

    #[test]
    fn sessions_of_a_token_are_bounded_and_end_with_it() {
        let sessions = Sessions::new(None);
        let (ours, tokens) = token("a");
        let first = sessions.begin(ours.clone());
        let (others, other_tokens) = token("b");
        let other = sessions.begin(others);
        for _ in 0..PER_TOKEN {
            let cookie = sessions.begin(ours.clone());
            assert!(Sessions::is_cookie(&cookie));
            assert_eq!(sessions.find(&cookie, &tokens).as_ref(), Some(&ours));
        }
        assert_eq!(sessions.find(&first, &tokens), None);
        assert!(sessions.find(&other, &other_tokens).is_some());
        assert!(sessions.find(&other, &tokens).is_none(), "the token has left the file");
        assert!(sessions.find(&other, &other_tokens).is_none(), "and the session has ended");
    }

    #[test]
    fn page_that_asks_by_itself_does_not_keep_a_session() {
        let (token, secret) = Token::generate("viewer", Role::Content).unwrap();
        let sessions = Sessions::new(Some(token));
        let (_, cookie) = sessions.begin_once(&secret).unwrap();
        let used = || sessions.lock()[&hash_content(&cookie)].used;
        let begun = used();
        assert!(sessions.peek(&cookie, &Tokens::default()).is_some());
        assert_eq!(used(), begun);
        assert!(sessions.find(&cookie, &Tokens::default()).is_some());
        assert!(used() > begun);
    }

    #[test]
    fn one_time_token_logs_in_once() {
        let (token, secret) = Token::generate("viewer", Role::Content).unwrap();
        let sessions = Sessions::new(Some(token.clone()));
        assert_eq!(sessions.begin_once("other"), None);
        assert_eq!(sessions.once(&secret).as_ref(), Some(&token));
        let (found, cookie) = sessions.begin_once(&secret).unwrap();
        assert_eq!(found, token);
        assert_eq!((sessions.once(&secret), sessions.begin_once(&secret)), (None, None));
        assert_eq!(sessions.find(&cookie, &Tokens::default()), Some(token));
        sessions.end(&cookie);
        assert_eq!(sessions.find(&cookie, &Tokens::default()), None);
    }

    #[test]
    fn form_token_is_bound_to_the_cookie() {
        let (one, other) = (Sessions::new(None), Sessions::new(None));
        let (cookie, another) = (Sessions::new_cookie(), Sessions::new_cookie());
        let given = one.form_token(&cookie);
        assert!(one.is_form_token(&cookie, &given));
        assert!(!one.is_form_token(&another, &given));
        assert!(!other.is_form_token(&cookie, &given));
        assert!(!one.is_form_token(&cookie, ""));
        let debug = format!("{one:?}");
        assert!(!debug.contains(&one.key) && !debug.contains(&given));
    }
}
