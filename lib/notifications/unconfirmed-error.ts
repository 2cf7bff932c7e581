import { causeOf, IntelligentSessionError } from '../errors/errors.js';

/**
 * A write of which this process can't say that it lasts. With the code `ERR_INTELLIGENT_SESSION_UNCONFIRMED` Redis gave no answer, so it
 * may be written or not; with `ERR_INTELLIGENT_SESSION_NOT_DURABLE` it is written, and fewer replicas than `durable.replicas` have said that
 * they have it. To publish again under the same `id` is safe in both cases.
 */
export class UnconfirmedError extends IntelligentSessionError {
  override readonly name: string = 'UnconfirmedError';
  /** The notification's id, also where the publisher gave none. */
  readonly id: string | undefined;

  constructor(
    code: 'ERR_INTELLIGENT_SESSION_UNCONFIRMED' | 'ERR_INTELLIGENT_SESSION_NOT_DURABLE',
    message: string,
    id?: string,
    cause?: unknown,
  ) {
    super(code, message, causeOf(cause));
    this.id = id;
  }
}
