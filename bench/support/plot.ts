/** Plots as SVG, the same bytes for the same values. */
import * as echarts from 'echarts';

export interface Plot {
  readonly title: string;
  /** what the x axis says */
  readonly x: string;
  /** what the y axis says */
  readonly y: string;
  /** the places on the x axis, evenly spaced whatever lies between them */
  readonly xs: readonly (number | string)[];
  /** the values of each series, one for each of `xs` */
  readonly series: Readonly<Record<string, readonly number[]>>;
  readonly type?: 'line' | 'bar';
  /** bars of one place stand on each other */
  readonly stacked?: boolean;
}

export function plot({ title, x, y, xs, series, type = 'line', stacked = false }: Plot): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 400 });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    color: ['#8d99ae', '#00798c', '#d1495b', '#edae49'],
    title: { text: title, left: 'center', textStyle: { fontSize: 15 } },
    legend: { bottom: 0 },
    grid: { left: 70, right: 30, top: 75, bottom: 80 },
    xAxis: {
      ...{ type: 'category', boundaryGap: type === 'bar', data: xs, name: x, nameLocation: 'middle', nameGap: 28 },
      axisLabel: { interval: 0, width: 150, overflow: 'break' },
    },
    yAxis: { type: 'value', name: y, nameTextStyle: { align: 'left' } },
    series: Object.entries(series).map(([name, data]) => ({
      ...{ type, name, data, symbolSize: 6 },
      ...(type === 'bar' && { label: { show: true, position: stacked ? 'inside' : 'top' } }),
      ...(stacked && { stack: 'all' }),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
