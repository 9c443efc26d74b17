// A store of a million entries.
//
//     node large.mjs write                  writes the calls of 30 days that end now, as JSON Lines
//     node large.mjs measure URL PROCESS    prints times and sizes of the pages, and the memory of the server

import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const CALLS = 1_000_000;
const DAYS = 30;
/** Each page is requested so often; the first time counts, too. */
const TIMES = 5;
const PER_KIND = 2;

async function write() {
  const end = Date.now();
  const step = (DAYS * 86_400_000) / CALLS;
  let lines = '';
  for (let number = 0; number < CALLS; number += 1) {
    const outcome = number % 61 === 0 ? 'failed' : number % 89 === 0 ? 'cut_off' : null;
    lines += JSON.stringify({
      timestamp: new Date(end - (CALLS - number) * step).toISOString(),
      provider: ['openai', 'anthropic', 'mistral'][number % 3],
      model: `model-${number % 12}`,
      conversation_id: `conversation-${Math.floor(number / 6)}`,
      input: `question ${number}`,
      output: `answer ${number}`,
      latency_ms: 200 + ((number * 7919) % 5000) / 3,
      input_tokens: number % 700,
      output_tokens: number % 300,
      safety_passed: number % 50 !== 0,
      detectors_triggered: number % 50 === 0 ? ['pii'] : [],
      metadata: { 'user.id': `u-${(number * 31) % 5000}`, ...(outcome && { 'attestry.outcome': outcome }) },
    }) + '\n';
    if (lines.length > 1 << 20) {
      if (!process.stdout.write(lines)) await once(process.stdout, 'drain');
      lines = '';
    }
  }
  process.stdout.write(lines);
}

function memory(id) {
  const status = readFileSync(`/proc/${id}/status`, 'utf8');
  const of = (key) => Math.round(Number(status.match(new RegExp(`${key}:\\s+(\\d+)`))[1]) / 1000);
  return `${of('VmRSS')} MB, at most ${of('VmHWM')} MB`;
}

const kindOf = (url) => `${url.pathname.split('/')[1] ?? ''}${url.pathname.split('/').length > 2 ? '/…' : ''}?${[...url.searchParams.keys()].sort().join('&')}`;

async function measure(first, id) {
  const waiting = [new URL(first)];
  const seen = new Set([waiting[0].href]);
  const kinds = new Map();
  console.log(`  memory before: ${memory(id)}`);
  while (waiting.length > 0) {
    const url = waiting.shift();
    const kind = kindOf(url);
    const count = kinds.get(kind) ?? 0;
    if (count >= PER_KIND) continue;
    kinds.set(kind, count + 1);
    const times = [];
    let html = '';
    let sent = 0;
    for (let time = 0; time < TIMES; time += 1) {
      const start = performance.now();
      const response = await fetch(url);
      html = await response.text();
      sent = Number(response.headers.get('content-length')) || html.length;
      times.push(performance.now() - start);
      if (!response.headers.get('content-type')?.startsWith('text/html')) html = '';
    }
    const [cold, ...warm] = times;
    const median = warm.sort((a, b) => a - b)[Math.floor(warm.length / 2)];
    const shown = `${url.pathname}${url.search}`.slice(0, 90);
    console.log(`  ${cold.toFixed(0).padStart(6)} ms cold ${median.toFixed(0).padStart(5)} ms warm ${Math.ceil(sent / 1000).toString().padStart(5)} kB  ${shown}`);
    for (const [, attributes] of html.matchAll(/<a\s([^>]*)>/g)) {
      const href = attributes.match(/href="([^"]*)"/)?.[1]?.replaceAll('&amp;', '&');
      if (!href || /\bdownload\b/.test(attributes)) continue;
      const link = new URL(href, url);
      link.hash = '';
      if (link.origin === url.origin && !link.pathname.startsWith('/v1/') && !seen.has(link.href)) {
        seen.add(link.href);
        waiting.push(link);
      }
    }
  }
  console.log(`  memory after: ${memory(id)}`);
}

const [task, ...rest] = process.argv.slice(2);
await (task === 'write' ? write() : measure(...rest));
