/** The error that a promise rejects with. Where the promise resolves, this rejects. */
export async function rejected(promise: Promise<unknown>): Promise<Error> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error(`It was to reject, and resolved to ${JSON.stringify(value)}`);
}
