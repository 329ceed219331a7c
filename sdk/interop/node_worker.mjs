// The worker of sdk/interop with the SDK for JavaScript. goworker_test.go says what its commands are.

import { Actor, ArbiterError, Float, UUID, appError } from '../node/arbiter.mjs'

const me = new Actor('interop', { mode: 'concurrent' })

class Thing { constructor (n) { this.n = n } }

const values = [
  ['null', null], ['true', true], ['false', false],
  ['an int', -1], ['2^53 + 1', 2n ** 53n + 1n], ['2^63', 2n ** 63n], ['-2^63', -(2n ** 63n)], ['2^200', 2n ** 200n], ['-2^200', -(2n ** 200n)],
  ['a whole float', new Float(2)], ['a float', 0.1], ['the largest float', Number.MAX_VALUE], ['the smallest float', Number.MIN_VALUE], ['-0.0', -0],
  ['nan', NaN], ['inf', Infinity], ['-inf', -Infinity],
  ['no text', ''], ['text', 'e\u0301 \u0000 \u{1f600}'], ['no bytes', new Uint8Array(0)], ['bytes', new Uint8Array([0, 255])],
  ['list', [1, 'a', null, []]],
  ['map', { a: 1, b: {} }], ['map with numbers as keys', new Map([[1, 'int'], ['1', 'text'], [2.5, 'float']])],
  ['map with bytes and null as keys', new Map([[Buffer.from('k'), 1], [null, 2]])], ['map with the key $x alone', { $x: 1 }],
  ['set', new Set(['a'])],
  ['moment', new Date('2026-11-26T10:00:00.123Z')],
  ['UUID', new UUID('00112233-4455-6677-8899-aabbccddeeff')],
  ['nested', { a: [{ b: [{ c: [Buffer.from('x'), new Set([1]), 2n ** 63n, null] }] }] }],
  ['half of a surrogate pair', '\ud83d'], ['object of a class', new Thing(1)]
]

function show (v) {
  switch (typeof v) {
    case 'boolean': case 'bigint': return String(v)
    case 'string': return JSON.stringify(v)
    case 'number':
      if (Number.isNaN(v)) return 'nan'
      if (!Number.isFinite(v)) return v > 0 ? 'inf' : '-inf'
      return Object.is(v, -0) ? '-0.0' : String(v)
  }
  if (v === null) return 'null'
  if (v instanceof Float) return show(Number(v)) + '.0'
  if (v instanceof Uint8Array) return 'bytes ' + (Buffer.from(v).toString('hex') || 'none')
  if (Array.isArray(v)) return `[${v.map(show).join(', ')}]`
  if (v instanceof Set) return `set[${[...v].map(show).sort().join(', ')}]`
  if (v instanceof Date) return `moment ${v.toISOString().replace(/\.?0*Z$/, 'Z')}`
  if (v instanceof UUID) return `uuid ${v}`
  const pairs = v instanceof Map ? [...v] : Object.entries(v)
  return `{${pairs.map(([k, x]) => `${show(k)}: ${show(x)}`).sort().join(', ')}}`
}

async function outcome (call) {
  try {
    return show(await call())
  } catch (e) {
    if (!(e instanceof ArbiterError)) throw e
    return e.code + (e.code === 'app' ? ` ${e.app}: ${e.reason}` : e.death ? ` ${e.death.cause}` : '')
  }
}

// An event that stays once it has happened.
function event () {
  const e = {}
  e.happened = new Promise(resolve => { e.happen = resolve })
  return e
}

const holds = new Map()
function holdOf (tag) {
  if (!holds.has(tag)) holds.set(tag, { begun: event(), over: event(), released: event(), fate: 'ran on' })
  return holds.get(tag)
}

me.command('show', { value: 'any' }, ({ value }) => show(value))
me.command('fail', { code: 'string', message: 'string' }, ({ code, message }) => { throw appError(code, message) })
me.command('hold', { tag: 'string' }, async ({ tag }, request) => {
  const h = holdOf(tag)
  const told = event()
  request.signal.addEventListener('abort', () => { h.fate = 'was told'; told.happen() }, { once: true })
  h.begun.happen()
  await Promise.race([h.released.happened, told.happened])
  h.over.happen()
  return null
})
me.command('begun', { tag: 'string' }, async ({ tag }) => { await holdOf(tag).begun.happened; return true })
me.command('fate', { tag: 'string', ms: 'int' }, async ({ tag, ms }) => {
  const h = holdOf(tag)
  let timer
  await Promise.race([h.over.happened, new Promise(resolve => { timer = setTimeout(resolve, ms) })])
  clearTimeout(timer)
  h.released.happen()
  return h.fate
})
me.command('offer', { target: 'string' }, async ({ target }) => {
  const list = []
  for (const [name, v] of values) {
    list.push([name, await outcome(() => me.call(target, 'show', [v])), await outcome(() => me.call(target, 'echo', [v]))])
  }
  return list
})
me.command('sweep', { target: 'string', form: 'string', low: 'int', high: 'int', step: 'int' }, async ({ target, form, low, high, step }) => {
  for (let n = low; n <= high; n += step) {
    const v = form === 'text' ? 'x'.repeat(n) : Buffer.alloc(n, 'x')
    const got = await me.call(target, 'echo', [v])
    if (form === 'text' ? got !== v : !v.equals(got)) return `${n} bytes came back otherwise`
  }
  return 'the same'
})
me.command('ask', { target: 'string', command: 'string', args: 'list', timeout: 'int' },
  ({ target, command, args, timeout }) => outcome(() => me.call(target, command, args, { timeout })))
me.command('abandon', { target: 'string', tag: 'string' }, async ({ target, tag }) => {
  const abort = new AbortController()
  const held = outcome(() => me.call(target, 'hold', [tag], { signal: abort.signal }))
  await me.call(target, 'begun', [tag])
  abort.abort()
  return held
})

me.run()
