import { bloomFault } from './bloom-error.js';
import { emptyLayer, type FilterForm, formatDump, isNonScaling, type Layer, parseForm } from './filter-format.js';

type FilledLayer = Omit<Layer, 'at'> & { readonly data: Buffer };

/**
 * The union of filters: one filter that holds what all of them held, in the first one's shape. Layers of one geometry are
 * joined bit by bit as long as the joined layer keeps its error rate; the others stay side by side. In the sum of error rates
 * a layer that takes no more items counts with the rate of the bits that are set in it. The newest one, together with all that
 * will grow after it (each with half the rate of the one before), counts with twice its own rate.
 */
export function unionOf(dumps: readonly Buffer[]): Buffer {
  const filters = dumps.map((bytes) => ({ bytes, form: parseForm(bytes) }));
  const { form: firstForm } = filters[0] as { form: FilterForm };
  const layers: FilledLayer[] = [];
  for (const { bytes, form } of filters)
    for (const { at, ...layer } of form.layers) {
      const added = { ...layer, data: bytes.subarray(at, at + layer.bits / 8) };
      const index = layers.findIndex((one) => sameGeometry(one, added) && joined(one, added));
      if (index < 0) layers.push(added);
      else layers[index] = joined(layers[index] as FilledLayer, added) as FilledLayer;
    }
  // The first filter's first layer stays the first, since it tells the error rate. The others stand as growth would order them.
  const [own, ...rest] = layers as [FilledLayer, ...FilledLayer[]];
  layers.splice(0, layers.length, own, ...rest.sort((a, b) => b.errorRate - a.errorRate || a.entries - b.entries));

  const first = firstForm.layers[0] as Layer;
  if (isNonScaling(firstForm)) {
    if (layers.length > 1) throw bloomFault('non scaling filter is full');
    return formatDump(firstForm, layers);
  }
  const allowed = first.errorRate * 2; // the first layer has half of the filter's rate
  const last = layers.at(-1) as FilledLayer;
  const older = layers.slice(0, -1).reduce((sum, layer) => sum + rateOf(layer), 0);
  if (older + last.errorRate * 2 > allowed * (1 + 1e-9)) {
    const left = allowed - older - rateOf(last);
    if (left <= 0) throw bloomFault('TOOFULL');
    // a new layer, with a smaller error rate, takes the items from now on
    if (last.count === 0) layers.pop();
    layers.push(emptyLayer(last.entries, left / 2));
  }
  return formatDump(firstForm, layers);
}

const sameGeometry = (a: FilledLayer, b: FilledLayer): boolean =>
  a.bits === b.bits && a.hashes === b.hashes && a.errorRate === b.errorRate && a.entries === b.entries;

/** The rate of false positives, from how many bits of a layer are set. */
const rateOf = ({ data, bits, hashes }: FilledLayer): number => (ones(data) / bits) ** hashes;

/** Two layers as one, or undefined where that would pass the error rate. A layer with all bits of the other stays as it is. */
function joined(a: FilledLayer, b: FilledLayer): FilledLayer | undefined {
  const data = Buffer.from(a.data);
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) | (b.data[i] as number);
  if (data.equals(a.data)) return a;
  if (data.equals(b.data)) return b;
  const estimatedCount = Math.round((-a.bits / a.hashes) * Math.log(1 - ones(data) / a.bits));
  const count = Math.min(a.count + b.count, Math.max(a.count, b.count, estimatedCount));
  const layer = { ...a, data, count };
  return rateOf(layer) <= a.errorRate && count <= a.entries ? layer : undefined;
}

/** by a byte: how many of its bits are set */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

function ones(data: Buffer): number {
  let sum = 0;
  for (const byte of data) sum += ONES[byte] as number;
  return sum;
}
