import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import type { Express, NextFunction, Request, Response } from 'express';
import type { IntelligentSession } from '../../lib/index.js';
import { Site, Visitor } from './site.js';

/** Prints a line of figures if SHOW_FIGURES is set. */
export const figures = (text: string) => process.env.SHOW_FIGURES && process.stdout.write(`      ${text}\n`);

/** A visitor who comes back again and again. */
interface Regular {
  readonly visitor: Visitor;
  /** of the session */
  id: string;
  /** page views in that session */
  views: number;
  /** page views by the last report */
  total: number;
  /** when that report was asked for */
  reportedMs: number;
}

/** Visitors who come back to one page without a pause, and what became of their requests. */
export class Traffic {
  requests = 0;
  slowestMs = 0;
  /** how many responses had each status */
  readonly statuses = new Map<number, number>();
  readonly #regulars: Regular[];
  #isOn = true;
  #visits: Promise<unknown>;

  private constructor(
    readonly site: Site,
    visitors: number,
  ) {
    this.#regulars = Array.from({ length: visitors }, () => ({
      visitor: new Visitor(site.url),
      ...{ id: '', views: 0, total: 0, reportedMs: 0 },
    }));
    this.#visits = Promise.all(this.#regulars.map((regular) => this.#comeBack(regular)));
    this.#visits.catch(() => {}); // told by stop()
  }

  /** A site of one page on an app, and its visitors. */
  static async start(app: Express, sessions: IntelligentSession, visitors = 8): Promise<Traffic> {
    app.use(sessions);
    app.get('/{*any}', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.json({ id: req.sessionID, total: report?.totalPages });
    });
    app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
      res.sendStatus(error.status ?? 500);
    });
    return new Traffic(await Site.open(app), visitors);
  }

  get ids(): string[] {
    return this.#regulars.map(({ id }) => id);
  }

  async #comeBack(regular: Regular): Promise<void> {
    while (this.#isOn) {
      const started = performance.now();
      const { cookie } = regular.visitor;
      const response = await regular.visitor.fetch('/page');
      const body = response.ok ? ((await response.json()) as { id?: string; total?: number }) : undefined;
      if (!body) await response.arrayBuffer();
      this.requests++;
      this.slowestMs = Math.max(this.slowestMs, performance.now() - started);
      this.statuses.set(response.status, (this.statuses.get(response.status) ?? 0) + 1);
      // counted even where the response is an error: the view may have been counted before that
      regular.views = regular.visitor.cookie === cookie ? regular.views + 1 : 1;
      if (body?.id === undefined) continue; // the store let it pass without a session
      regular.id = body.id;
      if (body.total === undefined) continue;
      expect(body.total, `no view counts twice, ${JSON.stringify([...this.statuses])}`).to.be.at.most(regular.views);
      Object.assign(regular, { total: body.total, reportedMs: started });
    }
  }

  /** Waits until every visitor has got a report that was asked for after this call. Gives how many ms that took. */
  async reports(withinMs: number): Promise<number> {
    const sinceMs = performance.now();
    while (this.#regulars.some(({ reportedMs }) => reportedMs < sinceMs)) {
      const missing = this.#regulars.filter(({ reportedMs }) => reportedMs < sinceMs).length;
      expect(performance.now() - sinceMs, `${missing} visitors without a report`).to.be.below(withinMs);
      await pause(10);
    }
    return performance.now() - sinceMs;
  }

  /** Ends all, and then throws what was wrong with a visitor's report. */
  static async stop(traffics: readonly Traffic[], sessions: readonly IntelligentSession[]): Promise<void> {
    for (const traffic of traffics) traffic.#isOn = false;
    const ended = await Promise.allSettled(traffics.map((traffic) => traffic.#visits));
    await Promise.all(traffics.map(({ site }) => site.close()));
    await Promise.all(sessions.map((one) => one.close()));
    for (const { requests, slowestMs, statuses } of traffics)
      figures(`${requests} requests, slowest ${slowestMs.toFixed(0)} ms, ${JSON.stringify([...statuses])}`);
    for (const end of ended) if (end.status === 'rejected') throw end.reason;
  }
}
