import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
  },
  // `npm run dev` beside a running `observe demo`.
  server: { proxy: { '/api': 'http://127.0.0.1:9090' } },
})
