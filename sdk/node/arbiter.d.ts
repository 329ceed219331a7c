// The types of arbiter.mjs.

export const VERSION: number
export const MAX_MESSAGE: number

export interface Death {
  cause: string
  reason?: string
  code?: number
  signal?: string
  pid?: number
  stderr?: string[]
  final?: boolean
}

export interface Details {
  app?: string
  started?: boolean
  target?: string
  command?: string
  path?: string[]
  death?: Death
}

export class ArbiterError extends Error {
  constructor (code: string, message?: string, details?: Details)
  readonly code: string
  readonly reason: string
  readonly app?: string
  readonly started?: boolean
  readonly target?: string
  readonly command?: string
  readonly path?: string[]
  readonly death?: Death
}

export function appError (code: string | number, message: unknown): ArbiterError

export class Float extends Number {}

export class UUID {
  constructor (text: string)
  readonly text: string
}

export function dumps (value: unknown): string
export function loads (text: string, options?: { exact?: boolean }): unknown

export interface Ref {
  aid?: string
  name?: string
}

export interface Request {
  readonly command: string
  readonly sender: string
  readonly deadline?: number
  readonly over: '' | 'deadline' | 'canceled' | 'closed'
  readonly signal: AbortSignal
  remaining (): number | undefined
}

export function current (): Request | undefined

export interface ActorOptions {
  mode?: 'serial' | 'interleaved' | 'concurrent'
  limit?: number
  inbox?: { messages?: number, bytes?: number }
  grace?: number
  name?: string
  aid?: string
}

export interface CallOptions {
  kwargs?: Record<string, unknown>
  timeout?: number
  signal?: AbortSignal
}

export interface Down {
  actor: string
  name: string
  death: Death
}

export class Actor {
  constructor (kind: string, options?: ActorOptions)
  readonly ref: Ref
  readonly config: Map<string, unknown>
  command<A = any> (name: string, params: Record<string, string>, f: (args: A, request: Request) => unknown, options?: { doc?: string, ack?: boolean }): this
  onStart (f: () => unknown): this
  onStop (f: () => unknown): this
  onUndelivered (f: (error: ArbiterError) => unknown): this
  onInfo (f: () => Record<string, unknown>): this
  call<R = any> (target: string | Ref, command: string, args?: unknown[], options?: CallOptions): Promise<R>
  send (target: string | Ref, command: string, args?: unknown[], options?: { kwargs?: Record<string, unknown> }): Promise<void>
  spawn (options: Record<string, unknown>, more?: { timeout?: number }): Promise<Ref>
  watch (target: string | Ref): Promise<{ down: Promise<Down>, stop: () => void }>
  stop (reason?: string): void
  run (): Promise<never>
  serve (options?: { address?: string, token?: string, signals?: boolean }): Promise<Death>
}

export function connect (options?: { address?: string, token?: string, kind?: string, name?: string }): Promise<Actor & { close: () => Promise<Death> }>

export const TEXT: number
export const BINARY: number
export const CLOSE: number
export const PING: number
export const PONG: number
export class Violation extends Error { readonly code: number }
export function frame (opcode: number, payload: Uint8Array): Uint8Array
export function closeFrame (code: number, reason: string): Uint8Array
export class FrameReader {
  constructor (limit?: number)
  feed (data: Uint8Array): Generator<[opcode: number, payload: Uint8Array]>
}
