import { element } from '../element'
import type { Cluster } from './clusters'

/** What brings the next cluster in. */
export function snippet(clusters: Cluster[]): HTMLElement {
  const labels = [...new Set(clusters.flatMap((cluster) => Object.keys(cluster.labels)))].filter((name) => name !== 'cluster').sort()
  const external = ['cluster: NAME', ...labels.map((name) => `${JSON.stringify(name)}: VALUE`)].join(', ')
  return element(
    'details',
    { class: 'card next-cluster' },
    element('summary', {}, 'Bring the next cluster in'),
    element('p', {}, 'A collector needs a name of its cluster that no other has, something to scrape, and the bucket:'),
    element(
      'pre',
      {},
      `# observe.yml
global:
  scrape_interval: 15s
  external_labels: {${external}}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['HOST:9100']}]`,
    ),
    element('pre', {}, 'observe collector --config.file=observe.yml --data-dir=/var/lib/observe --objstore.config-file=objstore.yml'),
    element('p', {}, 'It stands here with its first status, half a minute after its start.'),
  )
}
