// What the pages do beyond showing records. All of them can be read without it.
"use strict";
(() => {
  const store = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* Storage may be off. */ } },
  };

  // Times in the zone of the browser.
  const zone = document.querySelector("[data-zone]");
  let local = store.get("zone") === "local";
  const pad = (number, length = 2) => String(number).padStart(length, "0");
  const inZone = (time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    time.dataset.utc ??= time.textContent;
    time.title = time.dateTime;
    time.textContent = local
      ? `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ` +
        `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`
      : time.dataset.utc;
  };
  const showTimes = (root) => root.querySelectorAll("time[datetime]").forEach(inZone);
  if (zone) {
    const label = () => {
      zone.textContent = local ? zone.dataset.local : zone.dataset.utc;
      zone.setAttribute("aria-pressed", String(local));
    };
    zone.hidden = false;
    label();
    if (local) showTimes(document);
    zone.addEventListener("click", () => {
      local = !local;
      store.set("zone", local ? "local" : "utc");
      label();
      showTimes(document);
    });
  }

  // j and k go through rows or turns, Enter opens one, "/" goes to the search field.
  const items = () => [...document.querySelectorAll("[data-item]")];
  let selected = -1;
  const select = (step) => {
    const all = items();
    if (all.length === 0) return;
    const current = all.findIndex((item) => item.classList.contains("selected"));
    if (current >= 0) all[current].classList.remove("selected");
    selected = Math.min(Math.max((current >= 0 ? current : selected) + step, 0), all.length - 1);
    const item = all[selected];
    item.classList.add("selected");
    item.scrollIntoView({ block: "nearest" });
    item.querySelector("a")?.focus({ preventScroll: true });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "j") select(1);
    else if (event.key === "k") select(-1);
    else if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (!search) return;
      search.closest("details")?.setAttribute("open", "");
      search.focus();
      event.preventDefault();
    } else if (event.key === "Enter" && !event.target.closest("a, button, summary")) {
      document.querySelector("[data-item].selected a")?.click();
    }
  });

  // New entries at the top of the list. The address says what comes after the newest row.
  const list = document.querySelector("tbody[data-live]");
  const button = document.querySelector("[data-live-button]");
  const MAX_ROWS = 500;
  // Each look with a filter is in the access log.
  const PAUSE = list && "recorded" in list.dataset ? 15000 : 3000;
  if (list && button) {
    const off = button.textContent;
    const status = document.querySelector("[data-live-status]");
    const address = new URL(list.dataset.live, location.href);
    let timer = null;
    const show = (text, pressed) => {
      button.textContent = text;
      button.setAttribute("aria-pressed", String(pressed));
    };
    const stop = (text) => {
      clearTimeout(timer);
      timer = null;
      show(text, false);
    };
    const look = async () => {
      try {
        const answer = await fetch(address, { credentials: "same-origin", redirect: "error" });
        if (!answer.ok) throw new Error(String(answer.status));
        const rows = document.createElement("template");
        rows.innerHTML = await answer.text();
        const found = [...rows.content.querySelectorAll("tr")];
        if (timer === null) return;
        if (found.length > 0) {
          address.searchParams.set("after", found[0].dataset.cursor);
          list.querySelectorAll("tr.new").forEach((row) => row.classList.remove("new"));
          found.forEach((row) => row.classList.add("new"));
          if (local) showTimes(rows.content);
          list.prepend(...found);
          while (list.rows.length > MAX_ROWS) list.rows[list.rows.length - 1].remove();
          status.textContent = "";
          status.textContent = status.dataset.new;
        }
        timer = setTimeout(look, document.hidden ? 10 * PAUSE : PAUSE);
      } catch {
        stop(button.dataset.failed);
      }
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      if (timer !== null) return stop(off);
      show(button.dataset.on, true);
      timer = setTimeout(look, 0);
    });
  }

  // Times in forms: shown in the zone of the browser, sent in UTC.
  const inField = (at) => {
    const minutes = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${pad(at.getHours())}:${pad(at.getMinutes())}`;
    const isWhole = at.getSeconds() === 0 && at.getMilliseconds() === 0;
    return isWhole ? minutes : `${minutes}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  };
  document.querySelectorAll("form[data-times]").forEach((form) => {
    const fields = [...form.querySelectorAll("input[type=datetime-local]")];
    fields.forEach((field) => { field.dataset.given = field.value; });
    const show = () => {
      fields.forEach((field) => {
        const at = new Date(`${field.dataset.given}Z`);
        field.value = local && field.dataset.given && !Number.isNaN(at.getTime()) ? inField(at) : field.dataset.given;
      });
      form.querySelectorAll("[data-zone-name]").forEach((name) => { name.textContent = local ? zone.dataset.local : zone.dataset.utc; });
    };
    show();
    zone?.addEventListener("click", show);
    addEventListener("pageshow", show);
    form.addEventListener("submit", () => {
      if (!local) return;
      fields.filter((field) => field.value).forEach((field) => { field.value = new Date(field.value).toISOString().slice(0, -1).replace(/:00\.000$/, ""); });
    });
  });

  // A page that is not complete yet: loaded again after a pause that doubles, up to a minute.
  const pause = Number(history.state?.pause) || 1000;
  if (document.querySelector("[data-incomplete]")) {
    setTimeout(() => {
      history.replaceState({ pause: Math.min(2 * pause, 60000) }, "");
      location.reload();
    }, pause);
  } else if (history.state?.pause) history.replaceState(null, "");

  // How far a verification is.
  document.querySelectorAll("[data-progress]").forEach((running) => {
    const events = new EventSource(running.dataset.progress);
    events.addEventListener("progress", (event) => {
      const { done, total, text } = JSON.parse(event.data);
      const bar = running.querySelector("progress");
      bar.max = Math.max(total, 1);
      bar.value = done;
      running.querySelector("[data-progress-text]").textContent = text;
    });
    events.addEventListener("ended", () => { events.close(); location.reload(); });
  });
})();
