/** Waits until all have ended, also where one has failed: only then it rejects, with the first error. So nothing goes on unnoticed. */
export async function allEnded(work: Iterable<Promise<unknown>>): Promise<void> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
