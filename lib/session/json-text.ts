/**
 * The most levels of nested objects and arrays in a session. express-session's own comparison overflows the stack at some
 * 2,000, and node:util's isDeepStrictEqual() at 1,200, earlier where they are called from deep within a program.
 */
export const MAX_DEPTH = 500;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** The index of the quote that ends the string which begins at `start`; the text's length where none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    // each pair of backslashes is one escaped backslash: one more escapes the quote. No run of them is counted twice.
    let runStart = end;
    while (text.charCodeAt(runStart - 1) === BACKSLASH) runStart--;
    if ((end - runStart) % 2 === 0) return end;
  }
  return text.length;
}

/** Is a JSON text nested deeper than a session may be? Takes time in proportion to the text's length. */
export function isTooDeep(text: string): boolean {
  // each level takes an opening and a closing character, so a text this short has no more levels
  if (text.length <= 2 * MAX_DEPTH) return false;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) depth--;
  }
  return false;
}

/**
 * The texts of an object's values by their keys, from a text as JSON.stringify() writes it: in a third of the time of
 * JSON.parse(). Undefined for any other text, and where a key stands in it twice.
 */
export function valueTexts(text: string): Map<string, string> | undefined {
  const values = new Map<string, string>();
  if (text === '{}') return values;
  let i = 0;
  do {
    const keyStart = i + 1;
    if (text.charCodeAt(keyStart) !== QUOTE) return undefined;
    const keyEnd = endOfString(text, keyStart);
    if (text.charCodeAt(keyEnd + 1) !== COLON) return undefined;
    const plain = text.slice(keyStart + 1, keyEnd);
    const key = plain.includes('\\') ? (JSON.parse(`"${plain}"`) as string) : plain;
    i = endOfValue(text, keyEnd + 2);
    if (values.has(key)) return undefined;
    values.set(key, text.slice(keyEnd + 2, i));
  } while (text.charCodeAt(i) === COMMA);
  return i === text.length - 1 && text.charCodeAt(0) === OPEN_OBJECT ? values : undefined;
}

/** The index of what stands behind a value: a comma or a closing bracket. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) depth++;
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      if (depth-- === 0) return i;
    } else if (code === COMMA && depth === 0) return i;
  }
  return text.length;
}
