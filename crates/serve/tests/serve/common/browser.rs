//! A browser of the viewer: keeps the cookie, and sends forms with their token.

use attestry_serve::Role;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Full;

use super::{Answer, TestServer};

/// A browser.
#[derive(Debug, Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    pub(crate) form_token: String,
}

impl Browser {
    /// A browser that is logged in with the token of `role`.
    pub(crate) async fn logged_in(server: &TestServer, role: Role) -> Self {
        let mut browser = Self::default();
        let answer = browser.log_in(server, server.secret(role)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        browser
    }

    pub(crate) async fn log_in(&mut self, server: &TestServer, secret: &str) -> Answer {
        self.get(server, "/login").await;
        self.post(server, "/login", &[("token", secret)]).await
    }

    pub(crate) async fn get(&mut self, server: &TestServer, path: &str) -> Answer {
        self.get_with(server, path, &[]).await
    }

    pub(crate) async fn get_with(
        &mut self,
        server: &TestServer,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.send(server, Method::GET, path, headers, String::new()).await
    }

    /// Sends a form with the token of the last page.
    pub(crate) async fn post(
        &mut self,
        server: &TestServer,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let form_token = self.form_token.clone();
        let fields: Vec<_> = [("form_token", &*form_token)].iter().chain(fields).copied().collect();
        self.post_raw(server, path, &fields, &[("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post_raw(
        &mut self,
        server: &TestServer,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let form = form.finish();
        let form_type = [("content-type", "application/x-www-form-urlencoded")];
        let headers: Vec<_> = form_type.iter().chain(headers).copied().collect();
        self.send(server, Method::POST, path, &headers, form).await
    }

    async fn send(
        &mut self,
        server: &TestServer,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = server.request(method, path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = server.send(request.body(Full::new(Bytes::from(body))).unwrap()).await;
        if let Some(cookie) = answer.headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            self.cookie = (!cookie.ends_with('=')).then_some(cookie);
        }
        let page = answer.text();
        if let Some((_, rest)) = page.split_once("name=\"form_token\" value=\"") {
            rest.split('"').next().unwrap().clone_into(&mut self.form_token);
        }
        answer
    }
}
