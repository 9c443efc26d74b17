// Writes two weeks of calls that end now, as a team of a shop would make them: JSON Lines on standard output.

const HOUR = 3_600_000;
const DAYS = 14;
const PER_DAY = 160;

/** A generator of numbers from 0 to 1 that gives the same ones in every run. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = generator(20260128);
const pick = (list) => list[Math.floor(random() ** 1.6 * list.length)];

const MODELS = [
  ['openai', 'gpt-4o', 900],
  ['anthropic', 'claude-sonnet-4-5', 1300],
  ['openai', 'gpt-4o-mini', 420],
  ['mistral', 'mistral-large-2', 800],
  ['aws.bedrock', 'amazon.nova-pro-v1:0', 700],
];
const TALK = [
  ['My parcel has not moved since Thursday. What now?', 'I have asked the depot to look for it. You will hear from us by tomorrow at noon.'],
  ['Can I change the delivery address?', 'Yes, until the parcel leaves the depot. Which address should I use?'],
  ['Summarise the complaints of this week.', '* **Late parcels**: 12\n* **Wrong size**: 5\n* **Other**: 3\n\nMost late parcels passed through one depot.'],
  ['Write a query for the returns of March.', '```sql\nSELECT count(*) FROM returns\nWHERE day >= \'2026-03-01\' AND day < \'2026-04-01\';\n```'],
];

function interaction(time, number) {
  const [provider, model, usual] = pick(MODELS);
  const [input, output] = TALK[Math.floor(random() * TALK.length)];
  const fate = random();
  const outcome = fate < 0.02 ? 'failed' : fate < 0.035 ? 'cut_off' : fate < 0.04 ? 'abandoned' : null;
  const flagged = random() < 0.03;
  return {
    timestamp: new Date(time).toISOString(),
    provider,
    model,
    conversation_id: `support-${1000 + Math.floor(number / 4)}`,
    input,
    output: outcome === 'failed' ? '' : outcome ? output.slice(0, 20) : output,
    latency_ms: Math.round(usual * (0.5 + random()) * (random() < 0.05 ? 6 : 1) * 10) / 10,
    input_tokens: 20 + Math.floor(random() * 400),
    output_tokens: outcome === 'failed' ? 0 : 10 + Math.floor(random() * 300),
    safety_passed: !flagged,
    detectors_triggered: flagged ? [pick(['pii', 'prompt-injection', 'toxicity'])] : [],
    metadata: {
      'user.id': `u-${100 + Math.floor(random() ** 2 * 60)}`,
      'service.name': pick(['support-chat', 'reports', 'search']),
      ...(outcome && { 'attestry.outcome': outcome }),
      ...(outcome === 'failed' && { 'error.type': 'overloaded_error', 'http.response.status_code': 529 }),
    },
  };
}

const end = Date.now();
const calls = [];
for (let number = 0; number < DAYS * PER_DAY; number += 1) {
  const time = end - ((DAYS * PER_DAY - number) / PER_DAY) * 24 * HOUR;
  const hour = new Date(time).getUTCHours();
  // More by day than by night.
  if (random() < (hour > 6 && hour < 19 ? 0.95 : 0.25)) calls.push(interaction(time, number));
}
const tool = { role: 'assistant', content: null, tool_calls: [
  { id: 'call_1', type: 'function', function: { name: 'find_order', arguments: '{"order": "A-1041"}' } },
] };
calls.push({
  ...interaction(end - HOUR, 0),
  conversation_id: 'support-tools',
  input: [{ role: 'system', content: 'You help customers of a shop.' }, { role: 'user', content: 'Where is order A-1041?' }],
  output: [tool],
});
calls.push({
  ...interaction(end - HOUR + 4000, 0),
  conversation_id: 'support-tools',
  input: [{ role: 'user', content: 'Where is order A-1041?' }, tool, { role: 'tool', tool_call_id: 'call_1', content: '{"state": "in transit"}' }],
  output: [{ role: 'assistant', content: 'It is **in transit** and arrives tomorrow.' }],
});
for (const call of calls) process.stdout.write(JSON.stringify(call) + '\n');
