/** Lines over some values, as an SVG beside the results. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as echarts from 'echarts';

/** The value of each line at each of `xs`, evenly spaced whatever lies between them. */
export function plotLines(
  file: string,
  titles: { readonly title: string; readonly x: string },
  xs: readonly number[],
  lines: Readonly<Record<string, readonly number[]>>,
): void {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 400 });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    color: ['#999999', '#d1495b', '#00798c'],
    title: { text: titles.title, left: 'center', textStyle: { fontSize: 15 } },
    legend: { bottom: 0 },
    grid: { left: 70, right: 30, top: 50, bottom: 75 },
    xAxis: { type: 'category', boundaryGap: false, data: xs, name: titles.x, nameLocation: 'middle', nameGap: 28 },
    yAxis: { type: 'value' },
    series: Object.entries(lines).map(([name, data]) => ({ type: 'line', name, data, symbolSize: 6 })),
  });
  writeFileSync(fileURLToPath(new URL(`../results/${file}`, import.meta.url)), chart.renderToSVGString());
  chart.dispose();
}
