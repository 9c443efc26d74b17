// Visits the pages of running viewers with headless Chromium and checks them.
//
//     node check.mjs CHROMIUM FOLDER NAME=URL...
//
// Follows the links of each viewer. Of each kind of page a few are checked in all respects, and more are only looked at.
// Screenshots go to FOLDER.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import puppeteer from 'puppeteer-core';

const [chromium, folder, ...viewers] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Of each kind of page, and of each path, so many are checked; of paths with a name, so many more are looked at. */
const PER_KIND = 1;
const PER_PATH = 3;
const LOOKED_AT = 40;
const MAX_BYTES = 150_000;
/** Controls that are reached with the Tab key before the rest of a long page is taken for granted. */
const MAX_TABS = 80;
/** Parts of a field for a time that are stops of their own. */
const PARTS = 8;
const TIMEOUT = 30_000;
const WIDTHS = [1280, 2560, 360];
/** 1280 pixels at 200 % have the width of 640. */
const ZOOMED = { width: 640, height: 400, deviceScaleFactor: 2 };
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** The path of a page without names and ids. */
function pathOf(url) {
  const [first = '', name, ...rest] = url.pathname.split('/').filter(Boolean);
  return `/${first}${name === undefined ? '' : '/…'}${rest.map((part) => `/${part}`).join('')}`;
}

const kindOf = (url) => `${pathOf(url)}?${[...new Set(url.searchParams.keys())].sort().join('&')}`;

const fileName = (url) => `${url.pathname}${url.search}`.replace(/[^\w.=-]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 60) || 'overview';

/** What a control that can be reached is. */
const CONTROLS = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';

class Viewer {
  constructor(browser, name, first) {
    Object.assign(this, { browser, name, first, failures: new Set(), where: '', heaviest: [0, ''], checked: 0, looked: 0 });
  }

  fail(what) {
    this.failures.add(`${this.where}: ${what}`);
  }

  /** A page that reports what content must not do. */
  async open() {
    const page = await this.browser.newPage();
    page.setDefaultTimeout(TIMEOUT);
    await page.evaluateOnNewDocument(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    page.on('dialog', async (dialog) => {
      this.fail(`a dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    page.on('console', (message) => {
      // The server has no image where the content is none.
      const isBroken = message.location().url?.startsWith(this.first.origin) && message.location().url.includes('/media/');
      if (message.type() === 'error' && !isBroken) this.fail(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.fail(`script: ${error.message}`));
    page.on('popup', () => this.fail('a new window'));
    page.on('request', (request) => {
      const url = request.url();
      const isOurs = url.startsWith(`${this.first.origin}/`) || url.startsWith('data:image/');
      if (!isOurs) this.fail(`requests ${url.slice(0, 200)}`);
    });
    return page;
  }

  /** Loads a page, and notes its bytes as they are sent; false if there is none. */
  async load(page, url) {
    const client = await page.createCDPSession();
    await client.send('Network.enable');
    // Also what the browser has from the page before.
    await client.send('Network.setCacheDisabled', { cacheDisabled: true });
    let bytes = 0;
    client.on('Network.loadingFinished', (event) => (bytes += event.encodedDataLength));
    const response = await page.goto(url.href, { waitUntil: 'load' });
    await client.detach();
    if (response.status() !== 200) {
      this.fail(`status ${response.status()}`);
      return false;
    }
    if (bytes > MAX_BYTES) this.fail(`${bytes} bytes, more than ${MAX_BYTES}`);
    if (bytes > this.heaviest[0]) this.heaviest = [bytes, this.where];
    return true;
  }

  /** Nothing of the content ran. */
  async checkSilence(page) {
    if (await page.evaluate(() => window.ran ?? 0)) this.fail('a script of the content ran');
  }

  /** The page itself does not scroll sideways. */
  async checkWidth(page, what) {
    const wide = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth <= clientWidth + 1) return null;
      const widest = [...document.querySelectorAll('body *')].find((element) => {
        return element.getBoundingClientRect().right > clientWidth + 1 && !element.closest('.scroll');
      });
      return `${scrollWidth} of ${clientWidth}, at ${widest?.outerHTML.slice(0, 120)}`;
    });
    if (wide) this.fail(`wider than the window at ${what}: ${wide}`);
  }

  async checkAccessibility(page, theme) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
    await page.evaluate(`if (!window.axe) { ${axe} }`);
    // A theme changes colours only.
    const runOnly = theme === 'light' ? { type: 'tag', values: TAGS } : { type: 'rule', values: ['color-contrast'] };
    const violations = await page.evaluate(async (runOnly) => {
      const { violations } = await window.axe.run(document, { runOnly, resultTypes: ['violations'] });
      return violations.map(({ id, help, nodes: [first, ...more] }) => {
        return `${id} (${help}), ${1 + more.length} times: ${first.html.slice(0, 160)} ${first.failureSummary}`;
      });
    }, runOnly);
    for (const violation of violations) this.fail(`axe, ${theme}: ${violation.replaceAll('\n', ' ')}`);
  }

  /** The Tab key reaches every control, and each shows that it has the focus. */
  async checkKeyboard(page) {
    const stops = await page.evaluate((selector, parts) => {
      const reachable = [...document.querySelectorAll(selector)].filter((element) => {
        return !element.disabled && element.tabIndex >= 0 && element.checkVisibility({ visibilityProperty: true });
      });
      window.controls = new Map(reachable.map((element) => [element, false]));
      document.activeElement?.blur();
      const times = reachable.filter((element) => element.type === 'datetime-local');
      return reachable.length + times.length * parts;
    }, CONTROLS, PARTS);
    for (let tab = 0; tab < Math.min(stops, MAX_TABS); tab += 1) {
      await page.keyboard.press('Tab');
      const unseen = await page.evaluate(() => {
        const element = document.activeElement;
        window.controls.set(element, true);
        const { outlineStyle, boxShadow } = getComputedStyle(element);
        const isSeen = element === document.body || outlineStyle !== 'none' || boxShadow !== 'none';
        return isSeen ? null : element.outerHTML.slice(0, 120);
      });
      if (unseen) this.fail(`no sign of the focus on ${unseen}`);
    }
    if (stops > MAX_TABS) return;
    const missed = await page.evaluate(() => {
      const missed = [...window.controls].filter(([, reached]) => !reached).map(([element]) => element);
      // Radio buttons of one group are one stop.
      return missed.filter((element) => element.type !== 'radio').map((element) => element.outerHTML.slice(0, 120));
    });
    if (missed.length > 0) this.fail(`the Tab key does not reach ${missed.slice(0, 3).join(' ')}`);
  }

  /** What is read without script is what is read with it. */
  async checkWithoutScript(page, url) {
    const length = () => document.querySelector('main')?.textContent.length ?? 0;
    const withScript = await page.evaluate(length);
    const plain = await this.open();
    await plain.setJavaScriptEnabled(false);
    await plain.goto(url.href, { waitUntil: 'load' });
    const without = await plain.evaluate(length);
    await plain.close();
    if (without < withScript * 0.9 || without < 10) this.fail(`without script, ${without} of ${withScript} characters`);
  }

  async screenshot(page, url, suffix) {
    await page.evaluate(() => {
      document.activeElement?.blur();
      scrollTo(0, 0);
    });
    await page.screenshot({ path: path.join(folder, `${this.name}-${fileName(url)}-${suffix}.png`) });
  }

  /** Checks a page in all respects. */
  async check(page, url) {
    await page.setViewport({ width: 1280, height: 900 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    if (!(await this.load(page, url))) return;
    await this.checkKeyboard(page);
    await this.checkAccessibility(page, 'light');
    for (const width of WIDTHS) {
      await page.setViewport({ width, height: width < 500 ? 800 : 1440 });
      await this.checkWidth(page, `${width} pixels`);
      await this.screenshot(page, url, width);
    }
    if (url.pathname === '/' && !url.search) {
      await page.setViewport({ width: 1280, height: 860 });
      await this.screenshot(page, url, 'readme');
    }
    await page.setViewport(ZOOMED);
    await this.checkWidth(page, '200 %');
    await this.checkAccessibility(page, 'dark');
    await this.screenshot(page, url, 'dark');
    await this.checkWithoutScript(page, url);
    await this.checkSilence(page);
    this.checked += 1;
  }

  /** Times are shown in the zone of the browser when it is asked for, and a form sends them in UTC all the same. */
  async checkZone(page) {
    this.where = `${this.name} zone`;
    await page.emulateTimezone('America/New_York');
    await page.goto(new URL('/?since=2026-03-01T12:00&until=2026-03-02T12:00', this.first).href);
    const sent = async () => {
      await page.$eval('form[data-times]', (form) => (form.closest('details').open = true));
      const field = await page.$eval('form[data-times] input', (input) => input.value);
      await Promise.all([page.waitForNavigation(), page.click('form[data-times] [type=submit]')]);
      return [field, new URL(page.url()).searchParams.get('since')];
    };
    const [utc, utcSent] = await sent();
    await page.click('[data-zone]');
    const [local, localSent] = await sent();
    if (utc !== utcSent || local === utc || localSent !== utcSent) {
      this.fail(`${utc} was sent as ${utcSent}, and in another zone ${local} as ${localSent}`);
    }
    await page.click('[data-zone]');
    await page.emulateTimezone('UTC');
  }

  /** The button verifies the store, and the page shows the result by itself. */
  async checkVerification(page) {
    const url = new URL('/integrity', this.first);
    this.where = `${this.name} verification`;
    await page.goto(url.href);
    const button = 'form[action="/integrity/verify"] button';
    if (!(await page.$(button))) return;
    await Promise.all([page.waitForNavigation(), page.click(button)]);
    await page.waitForSelector('.verdict.ok, .verdict.bad');
    if (!(await page.$('.verdict.ok'))) this.fail(await page.$eval('.verdict', (verdict) => verdict.textContent));
    url.searchParams.set('verified', '');
    await page.setViewport({ width: 1280, height: 1440 });
    await this.checkAccessibility(page, 'light');
    await this.screenshot(page, url, 1280);
  }

  /** Only looks at a page, on a small screen. */
  async lookAt(page, url) {
    await page.setViewport({ width: 360, height: 800 });
    if (!(await this.load(page, url))) return;
    await this.checkWidth(page, '360 pixels');
    await this.checkSilence(page);
    this.looked += 1;
  }

  /** The pages that can be reached from the first one. */
  async visit() {
    const page = await this.open();
    this.where = `${this.name} first`;
    // Also a log-in, which leads to the overview.
    await page.goto(this.first.href, { waitUntil: 'load' });
    // The first figures take a moment, and the page loads itself until it has them.
    await page.goto(new URL('/', this.first).href);
    await page.waitForFunction(() => document.querySelector('main') && !document.querySelector('[data-incomplete]'));
    const waiting = [new URL('/', this.first)];
    const seen = new Set([waiting[0].href]);
    const counts = new Map();
    const count = (key) => {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return counts.get(key);
    };
    while (waiting.length > 0) {
      const url = waiting.shift();
      const [kind, where] = [kindOf(url), pathOf(url)];
      const isChecked = (counts.get(kind) ?? 0) < PER_KIND && (counts.get(where) ?? 0) < PER_PATH;
      if (!isChecked && !(where.includes('…') && (counts.get(`${where} looked`) ?? 0) < LOOKED_AT)) continue;
      this.where = `${this.name} ${url.pathname}${url.search}`.slice(0, 200);
      const start = Date.now();
      if (isChecked) {
        count(kind);
        count(where);
        await this.check(page, url);
        console.log(`  ${this.where}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
      } else {
        count(`${where} looked`);
        await this.lookAt(page, url);
      }
      for (const href of await page.$$eval('a[href]:not([download])', (links) => links.map((link) => link.href))) {
        const link = new URL(href);
        link.hash = '';
        if (link.origin !== this.first.origin) this.fail(`a link to ${href.slice(0, 80)}`);
        else if (!seen.has(link.href) && !link.pathname.startsWith('/v1/')) {
          seen.add(link.href);
          waiting.push(link);
        }
      }
    }
    await this.checkZone(page);
    await this.checkVerification(page);
    await page.close();
    const [bytes, heaviest] = this.heaviest;
    console.log(`  ${this.name}: ${this.checked} pages checked, ${this.looked} looked at; the heaviest has ${bytes} bytes: ${heaviest}`);
  }
}

async function visit(argument) {
  const split = argument.indexOf('=');
  const browser = await puppeteer.launch({
    executablePath: chromium,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-color-profile=srgb'],
  });
  const viewer = new Viewer(browser, argument.slice(0, split), new URL(argument.slice(split + 1)));
  try {
    await viewer.visit();
  } catch (error) {
    viewer.fail(error.stack);
  } finally {
    await browser.close();
  }
  return [...viewer.failures];
}

mkdirSync(folder, { recursive: true });
const failures = (await Promise.all(viewers.map(visit))).flat();
for (const failure of failures) console.error(`  ${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;
