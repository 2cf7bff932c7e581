import { setTimeout as pause } from 'node:timers/promises';

/** Asks again until the answer is true; an error says what was waited for. For what gives no event. */
export async function until(what: string, ask: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await ask());) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(5);
  }
}
