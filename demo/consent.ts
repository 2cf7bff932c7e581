import type { RequestHandler } from 'express';
import type { Consent } from '../lib/index.js';

const COOKIE = 'shop.consent';
const ANSWERS = ['yes', 'no'];
const HALF_A_YEAR_MS = 180 * 86_400_000;

/** What the visitor has answered in the footer; undefined where there is no answer, so that the browser's Sec-GPC decides. */
export const consent: Consent = ({ headers }) => {
  const cookies = headers.cookie?.split('; ') ?? [];
  const answer = ANSWERS.find((one) => cookies.includes(`${COOKIE}=${one}`));
  return answer === undefined ? undefined : answer === 'yes';
};

/** Keeps the answer of the footer's form in a cookie. */
export const keepConsent: RequestHandler = (req, res, next) => {
  const answer = ANSWERS.find((one) => one === req.body?.answer);
  if (answer) res.cookie(COOKIE, answer, { httpOnly: true, sameSite: 'lax', maxAge: HALF_A_YEAR_MS });
  next();
};
