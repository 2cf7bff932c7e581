/** The option `itemSecret`: one secret, or a list of which the first writes, and what was written under the others is found. */
export type ItemSecretOption = string | readonly string[];

/** The secrets in their order; without the option none is the only one. */
export const itemSecretsOf = (
  option: ItemSecretOption | undefined,
): readonly [string | undefined, ...(readonly string[])] => {
  if (option === undefined || typeof option === 'string') return [option];
  const [first, ...older] = option;
  return [first, ...older];
};
