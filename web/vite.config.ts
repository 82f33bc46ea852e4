import { defineConfig } from "vitest/config";

// `npm run dev` shows the page of this folder against what listens here: `npm run city`, or an API.
const backend = "http://127.0.0.1:8765";

export default defineConfig({
  // Relative, so the page may be served below any path.
  base: "./",
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 1600,
    // Some web servers do not know that `.mjs` is JavaScript, and a browser refuses a worker of another type.
    rollupOptions: {
      input: { map: "index.html", docs: "docs/index.html" },
      output: { assetFileNames: (asset) => `assets/${(asset.names[0] ?? "asset").replace(/\.[^.]*$/, "")}-[hash]${asset.names[0]?.endsWith(".mjs") ? ".js" : "[extname]"}` },
    },
  },
  server: { proxy: { "/v1": { target: backend, ws: true } } },
  test: { include: ["src/**/*.test.ts"] },
});
