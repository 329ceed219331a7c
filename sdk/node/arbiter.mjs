// An actor of an arbiter, in JavaScript for Node: one file, nothing but what Node has.
//
//   import { Actor } from './arbiter.mjs'
//
//   const calculator = new Actor('calculator')
//   calculator.command('add', { a: 'int', b: 'int?' }, ({ a, b = 0 }) => a + b)
//   calculator.run()
//
// The arbiter that starts the program hands it a connection (ARBITER_FD, or ARBITER_ADDR and ARBITER_TOKEN). What goes over it is
// the json profile: docs/json.md. What a sender may rely on is in docs/contract.md. Handlers must not block: there is one
// thread, and a blocked one gives no sign of life. Nothing is written to standard output.
//
// Numbers: an integer beyond 2^53 is a BigInt both ways. JavaScript does not tell 2.0 from 2, so what arrives as either is the
// number 2; new Float(2) is sent as 2.0. The command echo answers each as it came.

import { AsyncLocalStorage } from 'node:async_hooks'
import { Socket, connect as dial } from 'node:net'
import { fstatSync, readFileSync } from 'node:fs'

export const VERSION = 1
export const MAX_MESSAGE = 16 << 20 // bytes, until the welcome says otherwise
const DEFAULT_TIMEOUT = 30_000 // milliseconds a call may take
const LONGEST = 2 ** 31 - 1 // milliseconds of a timer: Node fires one that is to take longer at once
const LATER = 40 // milliseconds a call has longer here: the arbiter's word at the deadline says more than ours
const LOST_GRACE = 500 // milliseconds the stop hook has when the connection is lost
const LEAVE_GRACE = 2000 // milliseconds in which something must get on its way of the last answers of an actor that has ended
const MOST_TOLD = 8192 // characters of what an error or a death says; the arbiter cuts it, too
const LANGUAGE = `node ${process.version.slice(1)}`

// Errors

// What f returns, as text that can be sent, of at most so many characters; '' if it has none.
function said (f, most = Infinity) {
  try {
    return String(f() ?? '').slice(0, most).replace(/\p{Surrogate}/gu, '\ufffd')
  } catch {
    return ''
  }
}

// Anything can be thrown: null, an object without a prototype, one whose getters throw.
const nameOf = e => said(() => e.constructor.name) || 'Error'
const wordsOf = e => said(() => e.message) || said(() => e)
const failureOf = e => [nameOf(e), wordsOf(e)].filter(Boolean).join(': ')

function complain (what, e) {
  try {
    console.error(what, e)
  } catch { // it cannot be shown
    console.error(what, nameOf(e), wordsOf(e))
  }
}

/**
 * How a call or a send failed: code is one of docs/contract.md. started: whether the handler did; undefined: not known. With code
 * 'app', app is the handler's own code; with 'down', death says how the target ended; with 'cycle', path who waits for whom.
 *
 * A handler throws appError(code, message), or anything else: then app is the name of the error's class.
 */
export class ArbiterError extends Error {
  constructor (code, message, { app, started, target, command, path, death } = {}) {
    const reason = said(() => message) || code
    super(target ? `call ${command ?? ''} on "${target}": ${reason}` : reason)
    this.name = 'ArbiterError'
    Object.assign(this, { code, reason, app: app == null ? undefined : said(() => app), started, target, command, path, death })
  }

  static parse (m, target, command) {
    if (m === null || typeof m !== 'object') m = { code: 'protocol', message: 'an error that is no object' }
    return new ArbiterError(m.code || 'app', m.message, {
      app: m.app, started: m.started, path: m.path, target: m.target || target, command: m.command || command,
      death: m.code === 'down' ? { cause: 'connection', ...m.death } : undefined
    })
  }

  image () {
    const { code, reason, app, started, command, death } = this
    return { code, message: said(() => reason, MOST_TOLD), app: app && said(() => app, 255), started, command, death }
  }
}

/** Returns an error with a code of the handler's own. */
export const appError = (code, message) => new ArbiterError('app', message, { app: code })

// What a handler threw, as its caller is told: always 'app'. The error of a call it made leaves its code as the app's own.
function asAnswer (e) {
  if (e instanceof ArbiterError) return new ArbiterError('app', e.message, { app: e.code === 'app' ? e.app : e.code, started: true })
  return new ArbiterError('app', wordsOf(e) || nameOf(e), { app: nameOf(e), started: true })
}

// Values (docs/json.md, "Values")

/** A float, also where its value is an integer: new Float(2) is sent as 2.0. */
export class Float extends Number {}

/** A UUID, as text. */
export class UUID {
  constructor (text) {
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) throw new TypeError(`"${text}" is not a UUID`)
    this.text = text.toLowerCase()
  }

  toString () { return this.text }
}

const MAX_DEPTH = 1000 // lists and maps inside one another
const MOST_LEVELS = 3 * MAX_DEPTH + 3 // of JSON: a map may take three, and the value stands in a message

class NoImage extends Error {
  path = ''
}

/** Returns the JSON text of a value; an ArbiterError 'not_encodable' names the place of what has none. */
export function dumps (value) {
  const out = []
  try {
    write(value, out, 0)
    return out.join('')
  } catch (e) {
    if (e instanceof NoImage) {
      const place = e.path.replace(/^\./, '').slice(0, 200) || 'the value'
      throw new ArbiterError('not_encodable', `cannot encode ${place}: ${e.message}`, { started: false })
    }
    // It is of a method of the value's own, or of Node: a text that is too long for it, a stack that is too deep.
    const long = said(() => e.code) === 'ERR_STRING_TOO_LONG' || wordsOf(e) === 'Invalid string length'
    throw new ArbiterError(long ? 'too_large' : 'not_encodable', `cannot encode the value: ${failureOf(e)}`, { started: false })
  }
}

function write (v, out, depth) {
  switch (typeof v) {
    case 'string': return out.push(text(v))
    case 'boolean': return out.push(String(v))
    case 'bigint': return out.push(String(v))
    case 'number': return out.push(number(v, false))
    case 'undefined': return out.push('null')
    case 'function': case 'symbol': throw new NoImage(`a ${typeof v} has no image on the wire`)
  }
  if (v === null) return out.push('null')
  if (v instanceof Number) return out.push(number(Number(v), v instanceof Float))
  if (Array.isArray(v)) return writeList(v, out, depth)
  if (v instanceof Uint8Array) return out.push('{"$bytes":"', Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString('base64'), '"}')
  if (v instanceof Date) {
    if (isNaN(v)) throw new NoImage('a Date that is no moment')
    return out.push(`{"$time":"${v.toISOString()}"}`)
  }
  if (v instanceof UUID) return out.push(`{"$uuid":"${v}"}`)
  if (v instanceof Set) {
    out.push('{"$set":')
    writeList([...v], out, depth)
    return out.push('}')
  }
  if (v instanceof Map) return writePairs([...v], out, depth)
  if (typeof v.toJSON === 'function') return write(v.toJSON(), out, depth)
  const proto = Object.getPrototypeOf(v)
  if (proto !== null && proto !== Object.prototype) throw new NoImage(`a ${v.constructor?.name ?? 'foreign object'} has no image on the wire`)
  writeObject(Object.entries(v).filter(([, x]) => x !== undefined), out, depth)
}

// These call each other without anything between them: the stack of Node is for 1,000 levels of any of them.

function writeList (list, out, depth) {
  deepEnough(depth)
  out.push('[')
  for (let i = 0; i < list.length; i++) {
    if (i) out.push(',')
    try {
      write(list[i], out, depth + 1)
    } catch (e) {
      throw within(`[${i}]`, e)
    }
  }
  out.push(']')
}

function writeObject (entries, out, depth) {
  if (entries.length === 1 && entries[0][0].startsWith('$')) return writePairs(entries, out, depth)
  deepEnough(depth)
  out.push('{')
  for (let i = 0; i < entries.length; i++) {
    if (i) out.push(',')
    const [k, x] = entries[i]
    out.push(text(k), ':')
    try {
      write(x, out, depth + 1)
    } catch (e) {
      throw within(`.${k}`, e)
    }
  }
  out.push('}')
}

function writePairs (pairs, out, depth) {
  deepEnough(depth)
  if (pairs.some(([k]) => Array.isArray(k) || KINDS.map(k) || KINDS.set(k))) throw new NoImage('a map whose key is a list, a map or a set')
  out.push('{"$map":[')
  for (let i = 0; i < pairs.length; i++) {
    out.push(i ? ',[' : '[')
    let half = 0
    try {
      write(pairs[i][0], out, depth + 1)
      out.push(',')
      half = 1
      write(pairs[i][1], out, depth + 1)
    } catch (e) {
      throw within(`[${i}][${half}]`, e)
    }
    out.push(']')
  }
  out.push(']}')
}

function deepEnough (depth) {
  if (depth >= MAX_DEPTH) throw new NoImage(`more than ${MAX_DEPTH} deep; does it hold itself?`)
}

function within (place, e) {
  if (e instanceof NoImage) e.path = place + e.path
  return e
}

function text (s) {
  if (/\p{Surrogate}/u.test(s)) throw new NoImage('half of a surrogate pair is not UTF-8; use a Uint8Array for bytes')
  return JSON.stringify(s)
}

// An integer is written as one only where it is exact.
function number (n, float) {
  if (!Number.isFinite(n)) return `{"$float":"${isNaN(n) ? 'nan' : n > 0 ? 'inf' : '-inf'}"}`
  if (Object.is(n, -0)) return '-0.0'
  const s = String(n)
  return /[.e]/.test(s) || (Number.isSafeInteger(n) && !float) ? s : s + '.0'
}

/**
 * Returns the value of a JSON text; throws a SyntaxError if it is none, an ArbiterError 'invalid' for a $ key that is not known.
 * exact: 2.0 is a Float, so that dumps writes it as it came.
 */
export function loads (text, { exact = false } = {}) {
  const p = new Parser(text, exact)
  const v = p.document()
  if (p.wrong) throw new ArbiterError('invalid', p.wrong, { started: false })
  return v
}

// Reads JSON (RFC 8259) strictly: no key twice, no half of a surrogate pair. JSON.parse would do neither, and would round integers.
class Parser {
  constructor (text, exact) {
    Object.assign(this, { text, exact, at: 0, wrong: '' })
  }

  document () {
    const v = this.value(0)
    this.space()
    if (this.at < this.text.length) this.fail('something after the value')
    return v
  }

  fail (what) { throw new SyntaxError(`${what} at ${this.at}`) }

  match (re) {
    re.lastIndex = this.at
    const m = re.exec(this.text)
    if (m) this.at = re.lastIndex
    return m
  }

  space () { this.match(/[ \t\r\n]*/y) }

  take (c) {
    this.space()
    if (this.text[this.at] !== c) return false
    this.at++
    return true
  }

  want (c) { if (!this.take(c)) this.fail(`"${c}" is missing`) }

  value (depth) {
    this.space()
    switch (this.text[this.at]) {
      case '{': return this.object(depth)
      case '[': return this.list(depth)
      case '"': return this.string()
    }
    const m = this.match(/(true|false|null)|(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/y)
    if (!m) this.fail('no value')
    if (m[1]) return m[1] === 'null' ? null : m[1] === 'true'
    if (m[3]) {
      const n = Number(m[0])
      if (!Number.isFinite(n)) this.fail('a number out of range')
      return this.exact && (Number.isInteger(n)) ? new Float(n) : n
    }
    const n = m[2].length < 16 ? Number(m[2]) : BigInt(m[2])
    if (Object.is(n, -0)) return 0
    return typeof n === 'bigint' && n >= Number.MIN_SAFE_INTEGER && n <= Number.MAX_SAFE_INTEGER ? Number(n) : n
  }

  string () {
    const begin = this.at++
    let plain = true
    for (;;) {
      this.match(/[^"\\\u0000-\u001f]*/y)
      const c = this.text[this.at]
      if (c === '"') break
      if (c !== '\\') this.fail(c === undefined ? 'a text without end' : 'a control character in a text')
      if (!this.match(/\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y)) this.fail('a bad escape')
      plain = false
    }
    this.at++
    if (plain) return this.text.slice(begin + 1, this.at - 1)
    const s = JSON.parse(this.text.slice(begin, this.at))
    if (/\p{Surrogate}/u.test(s)) this.fail('half of a surrogate pair')
    return s
  }

  deeper (depth) {
    if (depth >= MOST_LEVELS) this.fail('lists and maps too deep in one another')
    this.at++
  }

  list (depth) {
    this.deeper(depth)
    const list = []
    if (this.take(']')) return list
    do list.push(this.value(depth + 1)); while (this.take(','))
    this.want(']')
    return list
  }

  object (depth) {
    this.deeper(depth)
    const m = {}
    let count = 0
    let first
    if (!this.take('}')) {
      do {
        this.space()
        if (this.text[this.at] !== '"') this.fail('a key is missing')
        const key = this.string()
        this.want(':')
        const v = this.value(depth + 1)
        if (Object.hasOwn(m, key)) this.fail('a key stands twice')
        if (key === '__proto__') Object.defineProperty(m, key, { value: v, enumerable: true, configurable: true, writable: true })
        else m[key] = v
        if (!count++) first = key
      } while (this.take(','))
      this.want('}')
    }
    return count === 1 && first[0] === '$' ? this.image(first, m[first]) : m
  }

  // What is JSON and no value all the same is noted: the message can be answered.
  image (key, v) {
    const bad = what => { this.wrong ||= `${key}: ${what}`; return null }
    const distinct = (list, made) => made.size === list.length ? made : bad('two of them are the same in JavaScript')
    switch (key) {
      case '$map':
        if (!Array.isArray(v) || !v.every(x => Array.isArray(x) && x.length === 2)) return bad('want a list of lists of two')
        if (v.some(([k]) => Array.isArray(k) || KINDS.map(k) || KINDS.set(k))) return bad('a map whose key is a list, a map or a set')
        return distinct(v, new Map(v))
      case '$set': return Array.isArray(v) ? distinct(v, new Set(v)) : bad('want a list')
      case '$bytes': case '$time': case '$uuid': case '$float':
        if (typeof v !== 'string') return bad('want a text')
    }
    switch (key) {
      case '$bytes':
        // Four by four, as (?:…{4})*, would take stack for each of them: too much for a large text.
        if (v.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(v)) return bad('not base64 with its padding')
        return Buffer.from(v, 'base64')
      case '$time': {
        const t = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(v) ? new Date(v.toUpperCase()) : NaN
        return isNaN(t) ? bad(`"${v}" is not a moment as RFC 3339 has it`) : t
      }
      case '$uuid':
        try { return new UUID(v) } catch (e) { return bad(e.message) }
      case '$float':
        return v === 'nan' ? NaN : v === 'inf' ? Infinity : v === '-inf' ? -Infinity : bad('not "nan", "inf" or "-inf"')
    }
    return bad('a key that is not known; a map with that key alone is written as $map')
  }
}

// Frames (RFC 6455, unmasked)

export const TEXT = 0x1
export const BINARY = 0x2
export const CLOSE = 0x8
export const PING = 0x9
export const PONG = 0xA

/** What the other end sent may not be; code is that of the close frame that says so. */
export class Violation extends Error {
  constructor (code, reason) {
    super(reason)
    this.code = code
  }
}

/** Returns one final frame, its length in the shortest form. */
export function frame (opcode, payload) {
  const n = payload.length
  const head = Buffer.alloc(n < 126 ? 2 : n < 65536 ? 4 : 10)
  head[0] = 0x80 | opcode
  if (n < 126) head[1] = n
  else if (n < 65536) { head[1] = 126; head.writeUInt16BE(n, 2) } else { head[1] = 127; head.writeBigUInt64BE(BigInt(n), 2) }
  return Buffer.concat([head, payload])
}

export function closeFrame (code, reason) {
  const b = Buffer.alloc(125)
  b.writeUInt16BE(code, 0)
  return frame(CLOSE, b.subarray(0, 2 + b.write(reason, 2))) // write does not cut a character
}

/** Takes bytes as they come and gives what is whole: messages and control frames. limit: of one message, in bytes. */
export class FrameReader {
  constructor (limit = MAX_MESSAGE) {
    this.limit = limit
    this.chunks = [] // what has come and is not used yet
    this.size = 0
    this.parts = null // of a message in fragments
    this.partsSize = 0
    this.need = 0 // nothing can be done before there is as much
  }

  /** Yields [opcode, payload]. Throws a Violation. */
  * feed (data) {
    this.chunks.push(data)
    this.size += data.length
    while (this.size >= this.need && this.size > 0) {
      if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks, this.size)]
      const whole = this.next(this.chunks[0])
      if (!whole) return
      const [final, opcode, payload] = whole
      if (opcode >= CLOSE) {
        yield [opcode, payload]
        continue
      }
      if (opcode === BINARY) throw new Violation(1003, 'a binary frame: after a text frame only text is taken')
      if ((opcode === 0) !== (this.parts !== null)) {
        throw new Violation(1002, opcode === 0 ? 'a continuation of nothing' : "a message inside another's fragments")
      }
      if (final && !this.parts) {
        yield [TEXT, payload]
        continue
      }
      this.parts ??= []
      this.parts.push(payload)
      this.partsSize += payload.length
      if (!final) continue
      const all = Buffer.concat(this.parts)
      this.parts = null
      this.partsSize = 0
      yield [TEXT, all]
    }
  }

  next (b) {
    const opcode = b[0] & 0x0f
    const control = opcode >= CLOSE
    if (b[0] & 0x70 || (opcode > BINARY && opcode < CLOSE) || opcode > PONG) throw new Violation(1002, 'reserved bits or opcode')
    if (b.length < 2) return this.wait(2)
    if (b[1] & 0x80) throw new Violation(1002, 'a masked frame')
    let n = b[1]
    let head = 2
    if (control && (n > 125 || !(b[0] & 0x80))) throw new Violation(1002, 'a control frame of more than 125 bytes, or in fragments')
    if (n === 126) {
      if (b.length < 4) return this.wait(4)
      n = b.readUInt16BE(2)
      head = 4
      if (n < 126) throw new Violation(1002, 'a length that is not in its shortest form')
    } else if (n === 127) {
      if (b.length < 10) return this.wait(10)
      n = Number(b.readBigUInt64BE(2))
      head = 10
      if (n < 65536) throw new Violation(1002, 'a length that is not in its shortest form')
    }
    if (!control && n + this.partsSize > this.limit) throw new Violation(1009, `a message of more than ${this.limit} bytes`)
    if (b.length < head + n) return this.wait(head + n)
    this.chunks = b.length > head + n ? [b.subarray(head + n)] : []
    this.size = b.length - head - n
    this.need = 0
    return [(b[0] & 0x80) !== 0, opcode, b.subarray(head, head + n)]
  }

  wait (n) {
    this.need = n
  }
}

// Commands, and their arguments

const KINDS = {
  any: () => true,
  int: v => Number.isInteger(v) || typeof v === 'bigint',
  number: v => typeof v === 'number' || typeof v === 'bigint',
  string: v => typeof v === 'string',
  boolean: v => typeof v === 'boolean',
  bytes: v => v instanceof Uint8Array,
  list: v => Array.isArray(v),
  object: v => v !== null && typeof v === 'object' && Object.getPrototypeOf(v) === Object.prototype,
  map: v => v instanceof Map || KINDS.object(v),
  set: v => v instanceof Set,
  time: v => v instanceof Date,
  uuid: v => v instanceof UUID
}

function described (v) {
  if (v === null) return 'null'
  if (Array.isArray(v)) return 'a list'
  if (typeof v === 'string') return `text ${JSON.stringify(v.slice(0, 40))}`
  return typeof v === 'object' ? `a ${KINDS.map(v) ? 'map' : v.constructor.name}` : `${typeof v} ${String(v).slice(0, 40)}`
}

class Command {
  constructor (name, params, f, { ack = true, doc = '' } = {}) {
    Object.assign(this, { name, f, ack, doc, inPlace: false })
    this.params = Object.entries(params).map(([name, kind]) => {
      const optional = kind.endsWith('?')
      const check = KINDS[optional ? kind.slice(0, -1) : kind]
      if (!check) throw new TypeError(`the parameter "${name}" is of the kind "${kind}"; there are ${Object.keys(KINDS).join(', ')}`)
      return { name, kind, optional, check }
    })
  }

  info () {
    return { name: this.name, doc: this.doc, in: this.params.map(p => `${p.name}: ${p.kind}`).join(', '), ack: this.ack }
  }

  /**
   * Returns the arguments by name; an ArbiterError 'invalid' names the one that does not fit. A typed command of Go sends a struct as
   * its one argument: a lone map that does not fit otherwise fills them by name.
   */
  bind (args = [], kwargs = {}) {
    if (!Array.isArray(args) || !KINDS.object(kwargs)) throw new ArbiterError('invalid', 'args is a list and kwargs an object', { started: false })
    try {
      return this.fill(args, kwargs)
    } catch (e) {
      const [lone] = args
      const named = args.length === 1 && !Object.keys(kwargs).length && KINDS.object(lone) &&
        Object.keys(lone).every(k => this.params.some(p => p.name === k))
      if (!named) throw e
      return this.fill([], lone)
    }
  }

  fill (args, kwargs) {
    const invalid = what => new ArbiterError('invalid', what, { started: false })
    if (args.length > this.params.length) {
      const takes = this.params.length ? `at most ${this.params.length}: ${this.params.map(p => p.name).join(', ')}` : 'none'
      throw invalid(`${args.length} positional arguments, and it takes ${takes}`)
    }
    const given = new Map(this.params.slice(0, args.length).map((p, i) => [p.name, args[i]]))
    for (const [name, v] of Object.entries(kwargs)) {
      if (!this.params.some(p => p.name === name)) {
        throw invalid(`no argument is called "${name}"${didYouMean(name, this.params.map(p => p.name))}`)
      }
      if (given.has(name)) throw invalid(`"${name}" is given twice, by position and by name`)
      given.set(name, v)
    }
    const bound = {}
    for (const p of this.params) {
      if (!given.has(p.name)) {
        if (!p.optional) throw invalid(`the argument "${p.name}" is missing`)
        continue
      }
      const v = given.get(p.name)
      if (!p.check(v) && !(p.optional && v === null)) throw invalid(`argument "${p.name}": want ${p.kind}, got ${described(v)}`)
      bound[p.name] = v
    }
    return bound
  }
}

function didYouMean (word, known) {
  if (word.length > 128) return '' // nobody's slip of the finger, and comparing takes its length
  const near = known.map(k => [distance(word, k), k]).sort((a, b) => a[0] - b[0])[0]
  return near && near[0] <= Math.max(1, word.length / 3) ? `; did you mean "${near[1]}"?` : ''
}

function distance (a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1]))
    row = next
  }
  return row[b.length]
}

// A request, and the handler at work on it

const scope = new AsyncLocalStorage() // the Request whose handler this runs in

/** Returns the request whose handler this runs in; undefined elsewhere. */
export const current = () => scope.getStore()

const unwantedBy = new WeakMap() // AbortSignal → what is to be called when it is aborted

/**
 * Has f called when one of the signals is aborted, and returns what calls that off. A signal has one listener of ours, for however many
 * calls: Node warns of more than ten.
 */
function onAbort (signals, f) {
  const known = signals.filter(Boolean)
  for (const s of known) {
    if (!unwantedBy.has(s)) {
      const fs = new Set()
      unwantedBy.set(s, fs)
      s.addEventListener('abort', () => { for (const f of [...fs]) f() })
    }
    unwantedBy.get(s).add(f)
  }
  return () => { for (const s of known) unwantedBy.get(s).delete(f) }
}

/** What a handler answers, its second parameter: command, sender (an aid), signal (aborted when nobody waits any more). */
export class Request {
  #abort = new AbortController()

  constructor (m, size) {
    this.command = m.command
    this.sender = m.sender ?? ''
    this.deadline = m.timeout ? performance.now() + m.timeout : undefined // of performance.now()
    this.over = '' // why nobody waits any more: 'deadline', 'canceled', 'closed'
    this._ack = m.ack
    this._args = m.args
    this._kwargs = m.kwargs
    this._size = size
    this._came = performance.now()
    this._chained = m.chained === true // this actor itself waits for it, further up
    this._answered = m.ack === undefined
    this._away = false // it has given up its turn, of an interleaved actor
    this._calls = 0 // in which it waits meanwhile
    this._turn = undefined // while it wants its turn back: { promise, resolve }
    this._whole = this // but of a call to oneself what it is a part of: that has the turn
  }

  get signal () { return this.#abort.signal }

  /** Milliseconds until nobody waits any more; undefined: there is no such moment. */
  remaining () { return this.deadline === undefined ? undefined : Math.max(0, this.deadline - performance.now()) }

  _unwanted (why) {
    if (this.over) return
    this.over = why
    this.#abort.abort(new ArbiterError(why === 'deadline' ? 'deadline' : why, 'nobody waits for the result any more', { started: true }))
  }
}

// The actor

const address = target => typeof target === 'string' ? target : target.aid || target.name

/**
 * An actor's behaviour, and once it has joined an arbiter, its life. One life each. Options, with their defaults:
 *
 * mode 'serial' (one handler at a time, in order), 'interleaved' (others may start while a handler waits for a call) or
 * 'concurrent' (up to limit at a time) · limit 64 · inbox { messages: 2048, bytes: 8 MiB } that may wait; what comes beyond is
 * refused, as overloaded · grace 5000, milliseconds a stop may take where the arbiter does not say · name, aid it would like.
 */
export class Actor {
  #life

  constructor (kind, { mode = 'serial', limit = 64, inbox = {}, grace = 5000, name, aid } = {}) {
    if (!['serial', 'interleaved', 'concurrent'].includes(mode)) {
      throw new TypeError(`the mode of an actor is "serial", "interleaved" or "concurrent", not "${mode}"`)
    }
    Object.assign(this, { kind, mode, grace, wants: { name, aid } })
    this.limit = mode === 'concurrent' ? limit : 1
    this.inbox = { messages: 2048, bytes: 8 << 20, ...inbox }
    this.commands = new Map()
    this.hooks = {}
    this.config = new Map() // the actor's own settings: from birth, and by the command config
    builtins(this)
  }

  /**
   * Makes f the handler of a command. params names its arguments in order, each with its kind ('any', 'int', 'number', 'string',
   * 'boolean', 'bytes', 'list', 'object', 'map', 'set', 'time', 'uuid'; with a '?' it may be left out). f is called with an object of
   * them and the Request. options: doc; ack: false, and a call of it returns as soon as it is accepted.
   */
  command (name, params, f, options) {
    this.commands.set(name, new Command(name, params, f, options))
    return this
  }

  /** f() runs before the first handler. If it throws, the actor could not start. */
  onStart (f) { this.hooks.start = f; return this }

  /** f() runs when the actor was asked to stop and has handled what it had accepted. */
  onStop (f) { this.hooks.stop = f; return this }

  /** f(error) is told of one-way messages that came back. Otherwise they are logged. */
  onUndelivered (f) { this.hooks.undelivered = f; return this }

  /** f() returns what the command info is to say besides. It is called at any time. */
  onInfo (f) { this.hooks.info = f; return this }

  get life () {
    if (!this.#life?.ref.aid) throw new ArbiterError('closed', 'this actor has not joined an arbiter: run it, or use connect', { started: false })
    return this.#life
  }

  /** What the arbiter calls it: { aid, name }. */
  get ref () { return this.life.ref }

  /**
   * Asks target (an aid, a name, a ref) for command; resolves to the result, or rejects with an ArbiterError. It ends, at the latest
   * after timeout milliseconds (default 30,000), or when the time of the request it is made for is up. signal gives it up.
   */
  call (target, command, args = [], { kwargs, timeout, signal } = {}) {
    return this.life.ask(address(target), command, args, kwargs, timeout, signal)
  }

  /** Sends one way; resolves when there is room for more. What does not reach a handler comes back to onUndelivered. */
  async send (target, command, args = [], { kwargs } = {}) {
    return this.life.send({ command, target: address(target), args, kwargs })
  }

  /** Has the arbiter start an actor and resolves to its ref. The options are those of actor.SpawnArgs in Go; durations are milliseconds. */
  async spawn (options, { timeout } = {}) {
    const kwargs = { ...options }
    for (const k of ['startTimeout', 'heartbeat', 'heartbeatTimeout', 'budget', 'grace']) {
      if (kwargs[k] !== undefined) kwargs[k] = Math.round(kwargs[k] * 1e6)
    }
    return this.call('arbiter', 'spawn', [], { kwargs, timeout })
  }

  /** Asks to be told of target's end. Resolves to { down, stop }: down is a promise of { actor, name, death }. */
  watch (target) { return this.life.watch(address(target)) }

  /** Stops the actor, as if it had been asked to. */
  stop (reason = 'its own wish') { this.life.stop(reason) }

  /**
   * Joins the arbiter the environment names, serves until the actor has ended, and exits the program: 0 if it was asked to stop, 1 if
   * it failed or lost its arbiter, 2 if there is none.
   */
  async run () {
    let death
    try {
      death = await this.serve()
    } catch (e) {
      if (!(e instanceof ArbiterError)) throw e
      console.error(`${this.kind}: ${e.message}`)
      process.exit(e.noAddress ? 2 : 1)
    }
    if (death.cause !== 'stopped') console.error(`${this.kind}: ${death.cause}: ${death.reason ?? ''}`)
    process.exit(death.cause === 'stopped' ? 0 : 1)
  }

  /** Joins, and resolves to how the actor ended. signals: SIGTERM and SIGINT ask it to stop. */
  async serve ({ address = '', token = '', signals = true } = {}) {
    const life = this._begin(false)
    const stop = signal => {
      if (life.ref.aid) return life.stop(`signal ${signal}`)
      process.off(signal, stop) // it has not joined, and there is nothing to end in order
      process.kill(process.pid, signal)
    }
    if (signals) for (const s of ['SIGTERM', 'SIGINT']) process.on(s, stop)
    try {
      await life.join(address, token)
      return await life.ended
    } finally {
      for (const s of ['SIGTERM', 'SIGINT']) process.off(s, stop)
    }
  }

  _begin (calls) {
    if (this.#life) throw new ArbiterError('closed', 'an actor lives once', { started: false })
    this.#life = new Life(this, calls)
    return this.#life
  }
}

/** Joins an arbiter to call its actors, as nobody's target. Resolves to an Actor with one method more, close(). */
export async function connect ({ address = '', token = '', kind = 'node', name } = {}) {
  const actor = new Actor(kind, { name })
  const life = actor._begin(true)
  await life.join(address, token)
  actor.close = () => {
    life.stop('its program has what it wanted')
    return life.ended
  }
  return actor
}

// The commands of every actor. All but echo are answered even while a handler runs.
function builtins (actor) {
  const add = (name, doc, params, f, ack = true) => {
    actor.command(name, params, f, { doc, ack })
    actor.commands.get(name).inPlace = name !== 'echo'
  }
  add('ping', 'answers pong', {}, () => 'pong')
  add('echo', 'answers what it is given', { value: 'any' }, ({ value }) => value)
  add('info', 'says what the actor is and does', {}, () => actor.life.info())
  add('config', 'config get NAME, config set NAME VALUE', { op: 'string', name: 'string', value: 'any?' }, ({ op, name, value = null }) => {
    if (op === 'set') {
      if (actor.config.size >= 1024 && !actor.config.has(name)) throw appError('too_many_settings', 'an actor holds 1024 settings')
      actor.config.set(name, value)
      return value
    }
    if (op !== 'get') throw appError('invalid', `config "${op}": the first argument is "get" or "set"`)
    if (!actor.config.has(name)) throw appError('no_setting', `the actor has no setting "${name}"`)
    return actor.config.get(name)
  })
  add('commands', 'lists the commands, with their types', {}, () => [...actor.commands.keys()].sort().map(n => actor.commands.get(n).info()))
  add('stop', 'asks the actor to stop', {}, () => { actor.life.stop('asked to') }, false)
}

// One life: the connection, the calls under way in both directions, the inbox

let keptToken = '' // of the environment: not for this program's own children, but for each time that it joins

class Life {
  constructor (actor, onlyCalls) {
    Object.assign(this, { actor, onlyCalls, ref: { aid: '', name: '' }, state: 'starting', lost: '', max: MAX_MESSAGE, acks: 0 })
    this.calls = new Map() // ack → { resolve, reject, target, command }
    this.watches = new Map() // ack → { resolve, target }
    this.reader = new FrameReader()
    this.born = this.heard = performance.now()
    this.inbox = [] // of [request, command]
    this.bytes = 0 // in the inbox
    this.working = new Set() // requests
    this.busy = 0 // handlers that have a turn; the start hook has one
    this.back = [] // requests whose handlers want theirs back
    this.counts = { accepted: 0, started: 0, refused: 0 }
    this.onIdle = []
    this.grace = actor.grace
    this.ended = new Promise(resolve => { this.hasEnded = resolve })
  }

  // Joining

  async join (address, token) {
    const closed = why => new ArbiterError('closed', `cannot join the arbiter: ${why}`, { started: false })
    let timer
    try {
      await Promise.race([
        this.handshake(address, token),
        new Promise((resolve, reject) => { timer = setTimeout(() => reject(closed('no answer within 10 s')), 10_000) })
      ])
    } catch (e) {
      this.lost ||= 'it never joined'
      this.socket?.destroy()
      throw e instanceof ArbiterError ? e : closed(e.message)
    } finally {
      clearTimeout(timer)
    }
    if (this.state === 'closed') return // a stop came with the welcome
    this.beats()
    this.start()
  }

  async handshake (address, token) {
    const { kind, mode, wants, commands } = this.actor
    token = await this.connect(address, token)
    // One on the same machine may be stopped for as long as it likes, and its silence means nothing: it is gone when the connection is.
    this.local = this.socket.remoteAddress === undefined
    const welcome = new Promise((resolve, reject) => { this.welcome = { resolve, reject } })
    this.post({
      command: 'hello', kind, version: VERSION, mode, pid: process.pid, language: LANGUAGE, token: token || undefined, ...wants,
      ...(this.onlyCalls ? { calls: true } : { commands: [...commands.values()].map(({ name, doc, ack }) => ({ name, doc, ack })), ready: false })
    })
    const w = await welcome
    this.arbiter = w.arbiter
    this.max = this.reader.limit = w.max_message || MAX_MESSAGE
    // By a heartbeat the arbiter learns that a handler has outlived its budget.
    this.beat = Math.min(w.heartbeat || 6000, w.budget || Infinity, LONGEST)
    this.silence = w.timeout || 20_000
    if (w.grace) this.grace = w.grace
    for (const [k, v] of Object.entries(w.extra ?? {})) this.actor.config.set(k, v)
  }

  async connect (address, token) {
    const env = process.env
    const fd = address ? '' : env.ARBITER_FD
    if (!address) delete env.ARBITER_FD // not for this program's own children
    if (isSocket(fd)) {
      await this.attach(new Socket({ fd: Number(fd), readable: true, writable: true }), true)
      return ''
    }
    if (!address) {
      address = env.ARBITER_ADDR ?? ''
      keptToken = env.ARBITER_TOKEN || keptToken
      delete env.ARBITER_TOKEN
      token ||= keptToken
    }
    if (!address) {
      throw Object.assign(new ArbiterError('closed', 'there is no arbiter to join: start this program by one (arbiter run --messages -- node worker.mjs), ' +
        'or say where it is in ARBITER_ADDR, as unix:/path or tcp:host:port'), { noAddress: true })
    }
    const unix = address.match(/^unix:(.*)$/)
    const tcp = address.match(/^(?:tcp:)?\[?(.*?)\]?:(\d+)$/)
    if (!unix && !tcp) throw new Error(`"${address}" is not unix:/path or tcp:host:port`)
    await this.attach(unix ? dial(unix[1]) : dial({ host: tcp[1], port: Number(tcp[2]), noDelay: true }), false)
    return token
  }

  attach (socket, open) {
    this.socket = socket
    socket.on('data', data => this.data(data))
    socket.on('close', () => { this.close('the connection to the arbiter is gone'); this.gone?.() })
    return new Promise((resolve, reject) => {
      socket.on('error', e => {
        reject(e)
        this.close(`the connection to the arbiter is gone: ${e.message}`)
      })
      if (open) resolve()
      else socket.on('connect', resolve)
    })
  }

  async start () {
    this.busy++
    try {
      await this.actor.hooks.start?.()
    } catch (e) {
      complain(`${this.actor.kind}: the actor could not start:`, e)
      return this.end({ cause: 'start', reason: failureOf(e) })
    }
    if (this.state === 'starting') this.state = 'running'
    if (!this.onlyCalls) this.notify()
    this.release()
  }

  // The connection

  data (data) {
    this.heard = performance.now()
    try {
      for (const [opcode, payload] of this.reader.feed(data)) {
        if (this.lost) return
        if (opcode === TEXT) this.text(payload)
        else if (opcode === PING) this.write(frame(PONG, payload))
        else if (opcode === CLOSE) {
          this.write(frame(CLOSE, payload.subarray(0, 2)))
          return this.close(`the arbiter closed the connection${payload.length > 2 ? ': ' + payload.subarray(2) : ''}`)
        }
      }
    } catch (e) {
      if (!(e instanceof Violation)) throw e
      console.error(`${this.actor.kind}: the arbiter broke the protocol: ${e.message}`)
      this.write(closeFrame(e.code, e.message))
      this.close(`the arbiter broke the protocol: ${e.message}`)
    }
  }

  text (payload) {
    let s
    let m
    try {
      s = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload)
    } catch {
      throw new Violation(1007, 'text that is not UTF-8')
    }
    // echo gives numbers back as they came. What looks like one and is none only costs time.
    const parser = new Parser(s, s.includes('"echo"'))
    try {
      m = parser.document()
    } catch (e) {
      throw new Violation(1007, `a message that is not JSON: ${e.message}`)
    }
    if (!KINDS.object(m)) throw new Violation(1007, 'a message that is no object')
    if (typeof m.command !== 'string') throw new Violation(1008, 'a message that has no command')
    if (parser.exact && m.command !== 'echo') m = new Parser(s, false).document()
    for (const k of Object.keys(m)) if (m[k] === null) delete m[k] // null is nothing
    this.message(m, parser.wrong, payload.length)
  }

  write (data) {
    if (this.socket?.writable) this.socket.write(data)
  }

  /** The connection is over, whoever ended it. */
  close (why) {
    if (this.lost) return
    this.lost = why
    this.socket.end()
    setTimeout(() => this.socket.destroy(), LOST_GRACE).unref()
    this.welcome?.reject(new ArbiterError('closed', why, { started: false }))
    for (const { reject, target, command } of this.calls.values()) reject(new ArbiterError('closed', why, { target, command }))
    for (const { resolve, target } of this.watches.values()) resolve({ actor: target, name: '', death: { cause: 'connection', reason: why } })
    this.watches.clear()
    if (this.state !== 'closed' && this.ref.aid) this.abandon(why)
  }

  /** Writes a message; throws an ArbiterError if it was not: 'not_encodable', 'too_large', 'closed'. */
  post (m) {
    if (this.lost) throw new ArbiterError('closed', this.lost, { started: false })
    const b = Buffer.from(dumps(m))
    if (b.length > this.max) throw new ArbiterError('too_large', `a message of ${b.length} bytes; the arbiter takes ${this.max}`, { started: false })
    this.write(frame(TEXT, b))
  }

  tell (m) {
    try {
      this.post(m)
    } catch (e) {
      if (e.code !== 'closed') throw e
    }
  }

  // What comes

  message (m, wrong, size) {
    const need = (key, kind) => {
      if (!KINDS[kind](m[key])) throw new Violation(1008, `a message "${m.command.slice(0, 40)}" whose ${key} is not as it should be`)
      return m[key]
    }
    if (!this.ref.aid) {
      if (m.command === 'error') return this.welcome.reject(ArbiterError.parse(m.error, 'arbiter', 'hello'))
      if (m.command !== 'welcome') throw new Violation(1008, `"${m.command.slice(0, 40)}" instead of a welcome`)
      this.ref = { aid: need('aid', 'string'), name: m.name || '' }
      return this.welcome.resolve(m)
    }
    if (m.target !== undefined) {
      if (m.ack !== undefined) need('ack', 'string')
      return this.request(new Request(m, size), wrong)
    }
    switch (m.command) {
      case 'callback': return this.callback(need('ack', 'string') && m, wrong)
      case 'cancel': return this.cancel(need('ack', 'string'))
      case 'undelivered': return this.undelivered(ArbiterError.parse(m.error))
      case 'down': {
        const w = this.watches.get(need('ack', 'string'))
        this.watches.delete(m.ack)
        return w?.resolve({ actor: m.actor, name: m.name ?? '', death: { cause: 'connection', ...m.death } })
      }
      case 'stop': return this.stop(m.reason || 'asked to')
      case 'goodbye':
        this.write(closeFrame(1000, ''))
        return this.close(`the arbiter said goodbye: ${m.death?.reason || 'it stops'}`)
    } // others are of a later version
  }

  callback (m, wrong) {
    const call = this.calls.get(m.ack)
    if (!call) return // it came too late
    const { target, command } = call
    if (m.error) call.reject(ArbiterError.parse(m.error, target, command))
    else if (wrong) call.reject(new ArbiterError('invalid', `its result cannot be read: ${wrong}`, { started: true, target, command }))
    else call.resolve(m.result ?? null)
  }

  undelivered (e) {
    const hook = this.actor.hooks.undelivered ?? (e => console.error(`${this.actor.kind}: a one-way message came back: ${e.code}: ${e.message}`))
    Promise.resolve().then(() => hook(e)).catch(e => complain(`${this.actor.kind}: a hook failed:`, e))
  }

  // Requests and their turns

  request (r, wrong) {
    const { commands, kind, inbox } = this.actor
    const c = commands.get(r.command)
    const waits = this.inbox.length
    const no = (code, message, more) => {
      this.counts.refused++
      this.refuse(r, new ArbiterError(code, message, { started: false, ...more }))
    }
    if (!c) return no('unknown_command', `the kind "${kind}" has no command "${r.command}"${didYouMean(r.command, [...commands.keys()])}`)
    if (wrong) return no('invalid', wrong)
    if (c.inPlace) return this.inPlace(r, c)
    if (this.state === 'stopping' || this.state === 'closed') {
      return no('down', 'it takes no more messages', { death: { cause: 'stopped', reason: this.stopped } })
    }
    if (!r._chained && waits && (waits >= inbox.messages || this.bytes + r._size > inbox.bytes)) {
      return no('overloaded', `its inbox is full: ${waits} messages, ${this.bytes} bytes`)
    }
    if (!c.ack && !this.accept(r, c)) return
    this.counts.accepted++
    if (r._chained) this.inbox.unshift([r, c])
    else this.inbox.push([r, c])
    this.bytes += r._size
    this.pump()
  }

  /** Answers, before it is handled, a call of a command without acknowledgement. It is false if it cannot be. */
  accept (r, c) {
    try {
      c.bind(r._args, r._kwargs)
    } catch (e) {
      this.counts.refused++
      this.refuse(r, e)
      return false
    }
    this.answer(r)
    r.deadline = r._ack = undefined // nobody waits
    return true
  }

  /** Answers that the handler did not start: to a one-way message too. */
  refuse (r, e) {
    if (!(e instanceof ArbiterError)) e = new ArbiterError('invalid', wordsOf(e), { started: false })
    e.command = r.command
    if (r._ack === undefined) this.tell({ command: 'undelivered', sender: r.sender, error: e.image() })
    else this.answer(r, undefined, e)
  }

  inPlace (r, c) {
    let args
    try {
      args = c.bind(r._args, r._kwargs)
    } catch (e) {
      return this.refuse(r, e)
    }
    try {
      this.answer(r, c.f(args, r))
    } catch (e) {
      this.answer(r, undefined, asAnswer(e))
    }
  }

  /** Starts what may start. */
  pump () {
    const { limit, inbox } = this.actor
    while (this.inbox.length && this.busy < limit && !this.back.length && (this.state === 'running' || this.state === 'stopping')) {
      if (this.working.size >= Math.max(limit, inbox.messages) && !this.inbox[0][0]._chained) return // as many interleaved handlers wait as messages may
      const [r, c] = this.inbox.shift()
      this.bytes -= r._size
      if (r.deadline !== undefined && r.remaining() === 0) {
        this.answer(r, undefined, new ArbiterError('deadline', 'its time was up before it could start', { started: false }))
        continue
      }
      this.busy++
      this.working.add(r)
      this.counts.started++
      this.handle(r, c)
    }
    if (this.isIdle()) for (const f of this.onIdle.splice(0)) f()
  }

  isIdle () { return !this.inbox.length && !this.working.size && !this.busy }

  async handle (r, c) {
    let args
    try {
      args = c.bind(r._args, r._kwargs)
    } catch (e) {
      this.counts.started--
      this.refuse(r, e)
      return this.over(r)
    }
    r._began = performance.now()
    r._args = r._kwargs = undefined
    if (r.deadline !== undefined) this.expire(r)
    try {
      this.answer(r, await scope.run(r, async () => c.f(args, r)))
    } catch (e) {
      if (r.over) return
      if (!(e instanceof ArbiterError)) complain(`${this.actor.kind}: the handler of "${c.name}" failed:`, e)
      else if (r._ack === undefined) console.error(`${this.actor.kind}: the one-way message "${c.name}" failed: ${e.message}`)
      this.answer(r, undefined, asAnswer(e))
    } finally {
      this.over(r)
    }
  }

  /** The handler of r has returned. */
  over (r) {
    r._returned = true
    clearTimeout(r._timer)
    this.working.delete(r)
    if (r._turn) { // for a call that it left behind
      this.back.splice(this.back.indexOf(r), 1)
      this.goOn(r)
    }
    if (r._away) this.pump()
    else this.release()
  }

  /** Gives up a turn: to a handler that wants its own back, or to the next message. */
  release () {
    this.busy--
    while (this.back.length && this.busy < this.actor.limit) {
      const r = this.back.shift()
      if (!r._calls) {
        this.busy++
        r._away = false
      }
      this.goOn(r)
    }
    this.pump()
  }

  goOn (r) {
    r._turn.resolve()
    r._turn = undefined
  }

  /** Waits until r has its turn again. While another of its calls is under way it does without. */
  async retake (r) {
    if (!r._away || r._calls || r._returned) return
    if (!r._turn && this.busy < this.actor.limit && !this.back.length) {
      this.busy++
      r._away = false
      return
    }
    if (!r._turn) {
      r._turn = {}
      r._turn.promise = new Promise(resolve => { r._turn.resolve = resolve })
      this.back.push(r)
    }
    await r._turn.promise
  }

  /** Ends r at its deadline. */
  expire (r) {
    const left = r.remaining()
    if (left > 0) {
      r._timer = setTimeout(() => this.expire(r), Math.min(left, LONGEST))
      return
    }
    r._unwanted('deadline')
    this.answer(r, undefined, new ArbiterError('deadline', 'its time was up while the handler ran', { started: true }))
  }

  cancel (ack) {
    for (const r of this.working) {
      if (r._ack !== ack) continue
      r._answered = true
      return r._unwanted('canceled')
    }
    const i = this.inbox.findIndex(([r]) => r._ack === ack)
    if (i >= 0) this.bytes -= this.inbox.splice(i, 1)[0][0]._size
  }

  answer (r, result, error) {
    if (r._answered) return
    r._answered = true
    if (!error) {
      try {
        return this.tell({ command: 'callback', ack: r._ack, result: result ?? null })
      } catch (e) {
        error = e instanceof ArbiterError ? e : new ArbiterError('not_encodable', wordsOf(e)) // there is no memory for it
        error.started = true
      }
    }
    this.tell({ command: 'callback', ack: r._ack, error: error.image() })
  }

  // What is sent

  async ask (target, command, args, kwargs, timeout, signal) {
    const r = current()
    const inside = r && !r._whole._returned && this.working.has(r._whole) ? r : undefined
    const left = Math.min(timeout ?? inside?.remaining() ?? DEFAULT_TIMEOUT, inside?.remaining() ?? Infinity, LONGEST - LATER)
    if (inside?.over) throw new ArbiterError(inside.over, 'nobody waits for it any more', { started: false, target, command })
    if (!(left > 0)) throw new ArbiterError('deadline', 'its time was up before it was sent', { started: false, target, command })
    if (inside && target && (target === this.ref.aid || target === this.ref.name)) return this.askSelf(inside, command, args, kwargs, left, signal)
    const m = {
      command, target, args: args.length ? args : undefined, kwargs, timeout: Math.max(1, Math.ceil(left)), parent: inside?._whole._ack
    }
    return this.wait(m, inside, left, target, command, signal)
  }

  /** Sends m, with an ack, and waits for the callback. An interleaved handler gives up its turn meanwhile. */
  async wait (m, r, left, target, command, signal) {
    if (signal?.aborted) throw new ArbiterError('canceled', 'the caller gave up before it was sent', { started: false, target, command })
    const ack = m.ack ??= String(++this.acks)
    try {
      this.post(m)
    } catch (e) {
      throw e instanceof ArbiterError ? new ArbiterError(e.code, e.reason, { started: false, target, command }) : e
    }
    let timer
    const giveUp = e => {
      const call = this.calls.get(ack)
      if (!call) return
      this.tell({ command: 'cancel', ack })
      call.reject(e)
    }
    const unwanted = () => giveUp(new ArbiterError('canceled', 'the caller gave up', { target, command }))
    const done = new Promise((resolve, reject) => {
      this.calls.set(ack, { resolve, reject, target, command })
      timer = setTimeout(() => reject(new ArbiterError('deadline', 'its time was up', { target, command })), left + LATER)
    })
    const callOff = onAbort([signal, r?.signal], unwanted)
    const whole = this.actor.mode === 'interleaved' ? r?._whole : undefined
    if (whole) {
      whole._calls++
      if (!whole._away) {
        whole._away = true
        this.release()
      }
    }
    try {
      return await done
    } finally {
      this.calls.delete(ack)
      clearTimeout(timer)
      callOff()
      if (whole) {
        whole._calls--
        await this.retake(whole)
      }
    }
  }

  /** A call to oneself is answered in place, as part of the handler that makes it, and ends as any other. */
  async askSelf (outer, command, args, kwargs, left, signal) {
    const target = this.ref.aid
    const failed = (code, message, started, app) => new ArbiterError(code, message, { started, app, target, command })
    const c = this.actor.commands.get(command)
    if (!c) throw failed('unknown_command', `the kind "${this.actor.kind}" has no command "${command}"`, false)
    if (signal?.aborted) throw failed('canceled', 'the caller gave up before it was sent', false)
    let bound
    try {
      bound = c.bind(args, kwargs)
    } catch (e) {
      throw failed('invalid', e.reason ?? wordsOf(e), false)
    }
    const r = new Request({ command, sender: target, timeout: left }, 0)
    r._whole = outer._whole
    const handled = scope.run(r, async () => c.f(bound, r)).then(result => c.ack ? result ?? null : null, e => {
      if (c.ack) {
        const { reason, app } = asAnswer(e)
        throw failed('app', reason, true, app)
      }
      complain(`${this.actor.kind}: the handler of "${command}" failed:`, e)
      return null
    })
    let timer
    let callOff
    const unheard = new Promise((resolve, reject) => {
      timer = setTimeout(() => {
        r._unwanted('deadline')
        reject(failed('deadline', 'its time was up', true))
      }, left)
      callOff = onAbort([signal, outer.signal], () => {
        r._unwanted(outer.over || 'canceled')
        reject(failed('canceled', 'the caller gave up', true))
      })
    })
    try {
      return await Promise.race([handled, unheard])
    } finally {
      clearTimeout(timer)
      callOff()
    }
  }

  send (m) {
    this.post(m)
    if (this.socket.writableLength < this.max || !this.socket.writableNeedDrain) return // without that no drain would follow
    this.room ??= new Promise(resolve => { // one for all who wait
      const go = () => {
        this.socket.off('drain', go).off('close', go)
        this.room = undefined
        resolve()
      }
      this.socket.on('drain', go).on('close', go)
    })
    return this.room
  }

  async watch (target) {
    const ack = String(++this.acks)
    let resolve
    const down = new Promise(r => { resolve = r })
    const stop = () => { if (this.watches.delete(ack)) this.tell({ command: 'unwatch', ack }) }
    this.watches.set(ack, { resolve, target }) // before the answer: the end may follow it at once
    try {
      await this.wait({ command: 'watch', actor: target, ack }, undefined, DEFAULT_TIMEOUT, target, 'watch')
    } catch (e) {
      stop()
      throw e
    }
    return { down, stop }
  }

  // Signs of life

  beats () {
    let last = performance.now()
    this.beating = setInterval(() => {
      const now = performance.now()
      if (now - last > 2 * this.beat) this.heard = now // this program was stopped, or busy: nobody else's fault
      last = now
      if (now - this.heard > this.silence && !this.local) this.close(`the arbiter was silent for ${Math.round(now - this.heard)} ms`)
      else if (!this.onlyCalls && this.state !== 'starting') this.notify()
    }, this.beat)
  }

  notify () {
    const extra = this.extra()
    try {
      this.tell({ command: 'notify', info: { ...this.status(1), extra } })
    } catch (e) {
      console.error(`${this.actor.kind}: what the info hook says cannot be told: ${e.message}`)
      this.tell({ command: 'notify', info: this.status(1) })
    }
  }

  /** What the actor is at; unit: of times, in a millisecond. */
  status (unit) {
    const now = performance.now()
    const { user, system } = process.cpuUsage()
    const [oldest] = this.working
    return {
      inbox: this.inbox.length, ...this.counts, cpu: Math.round((user + system) / 1000 * unit), rss: rss(),
      handling: oldest?.command, since: oldest && Math.round((now - oldest._began) * unit),
      oldest: this.inbox.length ? Math.round((now - this.inbox[0][0]._came) * unit) : undefined
    }
  }

  extra () {
    try {
      return this.actor.hooks.info?.()
    } catch (e) {
      complain(`${this.actor.kind}: the info hook failed:`, e)
      return { error: wordsOf(e) }
    }
  }

  /** As actor.Info in Go: durations are nanoseconds. */
  info () {
    return {
      ...this.ref, kind: this.actor.kind, state: this.state, mode: this.actor.mode, pid: process.pid, language: LANGUAGE,
      uptime: Math.round((performance.now() - this.born) * 1e6), inFlight: this.inbox.length + this.working.size, ...this.status(1e6), extra: this.extra()
    }
  }

  // The end

  stop (reason) {
    if (this.state === 'stopping' || this.state === 'closed') return
    this.state = 'stopping'
    this.stopped = reason
    this.windDown(this.grace, { cause: 'stopped', reason })
  }

  /** Nobody is left to hear it: what waits is dropped, and the stop hook has a moment. */
  abandon (why) {
    this.inbox = []
    this.bytes = 0
    for (const r of this.working) r._unwanted('closed')
    this.state = 'stopping'
    this.stopped = why
    this.windDown(LOST_GRACE, { cause: 'connection', reason: why })
  }

  /** Handles what was accepted, runs the stop hook, and ends. */
  async windDown (grace, death) {
    let timer
    const late = new Promise(resolve => { timer = setTimeout(resolve, Math.min(grace, LONGEST), true) })
    try {
      const isLate = await Promise.race([late, this.lastThings()])
      if (isLate && !this.lost) death = { cause: 'hung', reason: `it was asked to stop and had not after ${grace} ms` }
    } catch (e) {
      complain(`${this.actor.kind}: the stop hook failed:`, e)
      death = { cause: 'panic', reason: `the stop hook: ${wordsOf(e)}` }
    }
    clearTimeout(timer)
    this.end(death)
  }

  async lastThings () {
    if (!this.isIdle()) await new Promise(resolve => { this.onIdle.push(resolve); this.pump() })
    await this.actor.hooks.stop?.()
  }

  /** Says goodbye, and waits until the other end has hung up, for a moment. */
  /** Waits until the other end has hung up: as long as the last answers get on their way, and for a moment then. */
  hungUp () {
    return new Promise(resolve => {
      this.gone = resolve
      const written = () => this.socket.setTimeout(LOST_GRACE, resolve)
      if (!this.socket.writableLength) return written()
      this.socket.setTimeout(LEAVE_GRACE, resolve) // what is written in part counts
      this.socket.once('drain', written)
    })
  }

  async end (death) {
    if (this.state === 'closed') return
    this.state = 'closed'
    clearInterval(this.beating)
    for (const r of this.working) r._unwanted('closed')
    this.tell({ command: 'goodbye', death: { ...death, reason: said(() => death.reason, MOST_TOLD) } })
    if (!this.lost) {
      this.write(closeFrame(1000, death.cause))
      await this.hungUp()
      this.close('the actor has ended')
    }
    this.socket.destroy()
    this.hasEnded(death)
  }
}

// Where something on the way has closed the descriptor, it may be one of Node's own.
function isSocket (fd) {
  try {
    return Boolean(fd) && fstatSync(Number(fd)).isSocket()
  } catch {
    return false
  }
}

/** Bytes resident; undefined where that is not known. process.memoryUsage would stop the world for it. */
function rss () {
  try {
    return Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[1]) * 4096
  } catch {
    return process.memoryUsage.rss()
  }
}
