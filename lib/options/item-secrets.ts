/** The option `itemSecret`: one secret, or a list of which the first is in use, and the others were in use before. */
export type ItemSecretOption = string | readonly string[];

/** The secrets in their order; without the option the only item is undefined. */
export const itemSecretsOf = (
  option: ItemSecretOption | undefined,
): readonly [string | undefined, ...(readonly string[])] => {
  if (option === undefined || typeof option === 'string') return [option];
  const [first, ...older] = option;
  return [first, ...older];
};
