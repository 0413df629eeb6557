// A stream on the side that answers: the handler's values go out as fast as the caller takes them, the caller's come in as an iterable.

import { Answer, Context } from './answer.js'
import type { Named, Procedure, Stream } from './contract.js'
import { dataBytes } from './exchange.js'
import type { IncomingExchange } from './incoming.js'
import type { ErrorMakers } from './infer.js'
import { encodeValue } from './transports/codec.js'
import { refuseRequest, refuseResponse, validate } from './validate.js'
import { closeSource, Inbox, Outbox, readData, Unfit } from './values.js'

/** Answers one stream. */
export class StreamAnswer extends Answer<Named<Stream>> {
  protected override contextOf(
    exchange: IncomingExchange,
    errors: ErrorMakers<Procedure>,
  ): StreamContext {
    return new StreamContext({ exchange, errors, stream: this.member })
  }

  protected give(
    exchange: IncomingExchange,
    result: unknown,
    context: StreamContext,
  ): Promise<void> {
    return this.#send(exchange, result, context).then(
      (all) => {
        if (!all) return
        exchange.reply(encodeValue, undefined)
        this.done(exchange)
      },
      (thrown: unknown) => {
        const unfit = Unfit.in(thrown)
        if (unfit === undefined) this.threw(exchange, thrown, context)
        else this.refuse(exchange, unfit.error)
      },
    )
  }

  /** A handler that lets through what was wrong with the upload has not failed by itself: its caller has sent that. */
  protected override threw(
    exchange: IncomingExchange,
    thrown: unknown,
    context: StreamContext,
  ): void {
    const { unfit } = context
    if (unfit !== undefined && unfit.error === thrown) this.refuse(exchange, thrown)
    else super.threw(exchange, thrown, context)
  }

  protected override unwanted(exchange: IncomingExchange, result: unknown): void {
    super.unwanted(exchange, result)
    if (isMany(result)) closeSource(result)
  }

  async #send(
    exchange: IncomingExchange,
    result: unknown,
    { outbox }: StreamContext,
  ): Promise<boolean> {
    const { output, name } = this.member
    const refuse = refuseResponse(name)
    const unfit = (error: unknown) => {
      throw new Unfit(error)
    }
    const check = (value: unknown) => {
      if (output === undefined) return undefined
      try {
        const valid = validate(output, value, refuse)
        return valid instanceof Promise ? valid.catch(unfit) : valid
      } catch (error) {
        return unfit(error)
      }
    }
    if (isMany(result)) return outbox.send(result, check)
    if (output !== undefined) await outbox.put(await check(result))
    return !exchange.over
  }
}

/** What a stream's handler knows about its call: also what the caller uploads. */
class StreamContext extends Context {
  readonly outbox: Outbox
  readonly upload: AsyncIterable<unknown>
  /** What was wrong with the upload. */
  unfit: { readonly error: unknown } | undefined

  constructor(parts: {
    readonly exchange: IncomingExchange
    readonly errors: ErrorMakers<Procedure>
    readonly stream: Named<Stream>
  }) {
    const { exchange, stream } = parts
    super(exchange, parts.errors)
    this.outbox = new Outbox(exchange, stream.output)
    const inbox = new Inbox<unknown>({
      consumed: (bytes) => exchange.consumed(bytes),
      left() {}, // The handler may stop reading and still answer; the caller then stops by that.
    })
    this.upload = stream.upload === undefined ? inbox : this.#validated(inbox, stream)
    if (!exchange.hasUpload) inbox.end()
    exchange.events = {
      data: (frame) => inbox.push(readData(frame), dataBytes(frame)),
      end: () => inbox.end(),
      drain: () => this.outbox.wake(),
      cancelled: (error) => {
        inbox.fail(error)
        this.outbox.wake()
      },
    }
  }

  async *#validated(values: AsyncIterable<unknown>, { upload, name }: Named<Stream>) {
    const refuse = refuseRequest(name, 'upload')
    for await (const value of values) {
      let valid: unknown
      try {
        valid = await validate(upload, value, refuse)
      } catch (error) {
        this.unfit = { error }
        throw error
      }
      yield valid
    }
  }
}

/** Whether the handler gives many values: a generator, or another async iterable. An array is one value. */
function isMany(result: unknown): result is AsyncIterable<unknown> | Iterable<unknown> {
  const value = result as Partial<AsyncIterable<unknown> & Iterator<unknown>> | null | undefined
  return (
    typeof value?.[Symbol.asyncIterator] === 'function' ||
    (typeof value?.next === 'function' && typeof value[Symbol.iterator as never] === 'function')
  )
}
