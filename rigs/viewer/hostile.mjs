// Writes interactions whose texts try everything that a page could get wrong: JSON Lines on standard output.

import { once } from 'node:events';

const START = Date.parse('2026-03-01T08:00:00Z');
const RTL = '\u202e\u2066evil\u2069\u202c \u200f\u061c \u202dmoc.elpmaxe\u202c';
const RUN = 'window.ran = (window.ran || 0) + 1';

/** Each would set `window.ran`, open a dialog or load something if it were taken for HTML. */
const INJECTIONS = [
  `<script>${RUN}</script>`,
  `"><script>${RUN}</script>`,
  `'><img src=x onerror="${RUN}">`,
  `<svg/onload=alert(1)>`,
  `</textarea></title></style></pre></code><script>${RUN};alert(2)</script>`,
  `<iframe srcdoc="<script>parent.${RUN}</script>"></iframe>`,
  `<img src="http://tracker.example.com/pixel.gif"><link rel=stylesheet href=//tracker.example.com/a.css>`,
  `<base href="http://tracker.example.com/"><meta http-equiv=refresh content="0;url=http://tracker.example.com/">`,
  `<form action="http://tracker.example.com/"><button autofocus onfocus="${RUN}">x</button></form>`,
  `<style>@import "http://tracker.example.com/a.css"; * { display: none }</style>`,
  `<a href="javascript:${RUN}">a link</a> javascript:${RUN}`,
  `[a link](javascript:${RUN}) ![image](http://tracker.example.com/i.png) <http://tracker.example.com/>`,
  `[x]: javascript:${RUN}\n\n[a][x] [b](data:text/html,<script>${RUN}</script>)`,
  '```html\n<script>' + RUN + '</script>\n```\n\n`<img src=x onerror=alert(3)>`',
  `{{constructor.constructor('${RUN}')()}} \${${RUN}} <%= ${RUN} %>`,
  `]]><!--<script>${RUN}--></script> &lt;script&gt;${RUN}&lt;/script&gt; &#x3c;script&#x3e;`,
  `data: x\n\nevent: result\ndata: <script>${RUN}</script>\r\nSet-Cookie: a=b`,
];

const messages = (parts) => JSON.stringify([{ role: 'user', parts }]);

function* hostile() {
  // First, so that the newest entries, which pages show first, are the others.
  for (let turn = 0; turn < 10_000; turn += 1) {
    yield {
      model: 'model-1',
      provider: 'openai',
      conversation_id: 'ten-thousand-turns',
      input: `question ${turn} <b>`,
      output: `answer ${turn}`,
      latency_ms: 100 + (turn % 700),
      input_tokens: 10,
      output_tokens: turn % 50,
      metadata: { 'user.id': `u-${turn % 200}`, ...(turn % 97 === 0 && { 'attestry.outcome': 'cut_off' }) },
    };
  }
  for (const [number, text] of INJECTIONS.entries()) {
    yield {
      provider: text,
      model: `${text} ${number}`,
      conversation_id: `${text}/../..?x=%00&y=#`,
      input: text,
      output: text,
      detectors_triggered: [text, '__proto__'],
      block_reason: text,
      alerts: [text, text],
      safety_passed: false,
      metadata: { 'user.id': text, [text]: text, 'attestry.outcome': 'failed', 'error.type': text },
    };
  }
  yield { input: RTL, output: RTL, model: RTL, provider: RTL, conversation_id: RTL, metadata: { [RTL]: RTL, 'user.id': RTL } };
  yield {
    input: 'NUL \u0000 and \u0001\u0007\u0008\u001b[31mred\u001b[0m \u007f\u0085\u2028\u2029\ufeff\ufffe\uffff',
    output: '\u0000',
    model: 'nul\u0000\u001b',
    metadata: { 'user.id': '\u0000', 'key\u0000\n\t': '\r\n' },
  };
  yield { input: 'Z' + '\u0351\u0300\u0489'.repeat(3000), output: '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}'.repeat(500) };
  yield { input: 'w'.repeat(100_000), output: '<b>'.repeat(50_000), model: 'm'.repeat(5_000), conversation_id: 'c'.repeat(5_000) };
  yield { input: 'long lines\n'.repeat(200_000), output: '# heading\n\n* item\n'.repeat(50_000), model: 'long' };
  yield { input: 'x'.repeat(5 << 20), output: '<script>'.repeat(640 << 10), model: 'five-megabytes' };
  yield { input: '', output: '', model: '', provider: '', conversation_id: '' };
  const keys = Object.fromEntries(Array.from({ length: 1500 }, (_, n) => [`key.${n}`, `value ${n}`]));
  yield { input: 'many keys', output: 'x', metadata: { ...keys, ['k'.repeat(50_000)]: 'v'.repeat(50_000), '': 'empty' } };
  yield { input: 'nested', output: 'x', metadata: { deep: JSON.parse('['.repeat(100) + '1' + ']'.repeat(100)) } };
  yield { input: 'numbers', output: 'x', latency_ms: 1e300, input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: 0 };
  yield {
    input: [{ role: 'user', content: [
      { type: 'text', text: INJECTIONS[0] },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
      { type: 'image_url', image_url: { url: 'data:image/svg+xml;base64,' + btoa(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(4)"><script>${RUN}</script></svg>`) } },
      { type: 'image_url', image_url: { url: 'data:text/html,<script>alert(5)</script>' } },
      { type: 'image_url', image_url: { url: 'http://tracker.example.com/i.png' } },
      { type: 'image_url', image_url: { url: `javascript:${RUN}` } },
    ] }],
    output: [{ role: 'assistant', content: null, tool_calls: [
      { id: '"><script>', type: 'function', function: { name: INJECTIONS[2], arguments: `{"a": "${'<script>'}"` } },
    ] }],
    conversation_id: 'images',
  };
  const media = [
    { type: 'blob', mime_type: 'image/png', modality: 'image', content: 'AAAA' },
    { type: 'blob', mime_type: 'text/html"><script>', modality: 'image', content: '!!!' },
    { type: 'uri', uri: `javascript:${RUN}`, modality: 'image' },
    { type: 'x'.repeat(1000), content: { a: [INJECTIONS[1]] } },
  ];
  yield { input: messages(media), output: messages([]), conversation_id: 'images', metadata: { 'attestry.content': 'messages/v1' } };
}

let number = 0;
for (const interaction of hostile()) {
  const timestamp = new Date(START + number * 7000).toISOString();
  number += 1;
  if (!process.stdout.write(JSON.stringify({ timestamp, ...interaction }) + '\n')) {
    await once(process.stdout, 'drain');
  }
}
