import { bloomFault } from './bloom-error.js';
import { emptyLayer, type FilterForm, formatDump, isNonScaling, type Layer, parseForm } from './filter-format.js';

type FilledLayer = Omit<Layer, 'at'> & { readonly data: Buffer };

/**
 * One filter that holds what all of them held, in the first one's shape. Layers of one geometry are united (OR) while the
 * fill that comes of it keeps the layer's error rate; the others stay side by side. A layer that nobody adds to any more
 * counts with the rate that its fill gives; the newest, and all that will grow after it, with twice its own.
 */
export function unite(dumps: readonly Buffer[]): Buffer {
  const filters = dumps.map((bytes) => ({ bytes, form: parseForm(bytes) }));
  const { form } = filters[0] as { form: FilterForm };
  const layers: FilledLayer[] = [];
  for (const { bytes, form } of filters)
    for (const { at, ...layer } of form.layers) {
      const added = { ...layer, data: bytes.subarray(at, at + layer.bits / 8) };
      const index = layers.findIndex((one) => sameGeometry(one, added) && united(one, added));
      if (index < 0) layers.push(added);
      else layers[index] = united(layers[index] as FilledLayer, added) as FilledLayer;
    }
  // The target's first layer stays the first: it tells the error rate. The rest as growth orders them.
  const [own, ...rest] = layers as [FilledLayer, ...FilledLayer[]];
  layers.splice(0, layers.length, own, ...rest.sort((a, b) => b.errorRate - a.errorRate || a.entries - b.entries));

  const first = form.layers[0] as Layer;
  if (isNonScaling(form)) {
    if (layers.length > 1) throw bloomFault('non scaling filter is full');
    return formatDump(form, layers);
  }
  const allowed = first.errorRate * 2;
  const last = layers.at(-1) as FilledLayer;
  const sealed = layers.slice(0, -1).reduce((sum, layer) => sum + rateOf(layer), 0);
  if (sealed + last.errorRate * 2 > allowed * (1 + 1e-9)) {
    const left = allowed - sealed - rateOf(last);
    if (left <= 0) throw bloomFault('UNITED');
    if (last.count === 0) layers.pop();
    layers.push(emptyLayer(last.entries, left / 2));
  }
  return formatDump(form, layers);
}

const sameGeometry = (a: FilledLayer, b: FilledLayer): boolean =>
  a.bits === b.bits && a.hashes === b.hashes && a.errorRate === b.errorRate && a.entries === b.entries;

/** The false positives that a layer's fill gives. */
const rateOf = ({ data, bits, hashes }: FilledLayer): number => (ones(data) / bits) ** hashes;

/** Both in one layer, or undefined where that would pass its error rate. One that has all of the other's stays as it is. */
function united(a: FilledLayer, b: FilledLayer): FilledLayer | undefined {
  const data = Buffer.from(a.data);
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) | (b.data[i] as number);
  if (data.equals(a.data)) return a;
  if (data.equals(b.data)) return b;
  const estimate = Math.round((-a.bits / a.hashes) * Math.log(1 - ones(data) / a.bits));
  const count = Math.min(a.count + b.count, Math.max(a.count, b.count, estimate));
  const layer = { ...a, data, count };
  return rateOf(layer) <= a.errorRate && count <= a.entries ? layer : undefined;
}

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

function ones(data: Buffer): number {
  let sum = 0;
  for (const byte of data) sum += ONES[byte] as number;
  return sum;
}
