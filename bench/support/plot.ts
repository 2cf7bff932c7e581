/** Lines over a logarithmic axis, as an SVG beside the results. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as echarts from 'echarts';

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export function plotLines(file: string, title: string, x: string, y: string, lines: readonly Line[]): void {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 400 });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    color: ['#999999', '#d1495b', '#00798c', '#edae49'],
    title: { text: title, left: 'center', textStyle: { fontSize: 15 } },
    legend: { bottom: 0 },
    grid: { left: 70, right: 30, top: 50, bottom: 75 },
    xAxis: { type: 'log', logBase: 2, name: x, nameLocation: 'middle', nameGap: 28 },
    yAxis: { type: 'value', name: y },
    series: lines.map(({ name, points }) => ({ type: 'line', name, data: points, symbolSize: 6 })),
  });
  writeFileSync(fileURLToPath(new URL(`../results/${file}`, import.meta.url)), chart.renderToSVGString());
  chart.dispose();
}
