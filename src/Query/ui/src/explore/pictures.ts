// What draws: loaded together, once there is something to draw.
export { graph } from './graph'
export { heatMap } from './heatMap'
