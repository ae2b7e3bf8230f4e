// Charts: uPlot, in the colours of the page. Each has beside it what it shows as text.
import uPlot from '/dashboard/vendor/uplot.js';
import { html, useEffect, useRef } from '/dashboard/html.js';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** The colours as they are now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ink: of('ink'), soft: of('soft'), line: of('line'), accent: of('accent'), bad: of('bad'), wait: of('wait'), calm: of('calm') };
}

/** A chart of `data`; `options(colours)` are uPlot's without its size. */
export function Chart({ title, data, options, height = 190, children }) {
  const plot = useRef(null);
  const chart = useRef(null);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const place = plot.current;
    const make = () => {
      chart.current?.destroy();
      chart.current = new uPlot({ width: place.clientWidth, height, legend: { show: false }, ...options(colours()) }, latest.current, place);
    };
    make();
    const watch = new ResizeObserver(() => chart.current?.setSize({ width: place.clientWidth, height }));
    watch.observe(place);
    dark.addEventListener('change', make);
    return () => {
      watch.disconnect();
      dark.removeEventListener('change', make);
      chart.current.destroy();
      chart.current = null;
    };
  }, []);
  useEffect(() => { chart.current?.setData(data); }, [data]);
  return html`<figure class="chart"><h3>${title}</h3><div class="plot" ref=${plot} aria-hidden="true"></div><figcaption>${children}</figcaption></figure>`;
}

/** An axis in the page's colours. */
export function axis({ soft, line }, more = {}) {
  return { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui, sans-serif', ...more };
}

/** The axis of time: as short as it is clear. */
export function timeAxis(colours) {
  const values = (chart, splits) => {
    const { min, max } = chart.scales.x;
    const shape = max - min < 600 ? 'second' : max - min < 2 * 86_400 ? 'minute' : 'day';
    return splits.map((at) => TIMES[shape].format(at * 1000));
  };
  return axis(colours, { values });
}

const TIMES = {
  second: new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
  minute: new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
  day: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }),
};

export const stepped = uPlot.paths.stepped({ align: 1 });
