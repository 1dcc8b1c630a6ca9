// Bundles the page into the Python package.
//
// build.json tells from which sources the bundle was made, so that a stale bundle is found without building it again:
// "sources" is the SHA-256, in hexadecimal, over all files below src and over package-lock.json, sorted by their path
// relative to this folder (POSIX separators, by code unit), each as its path in UTF-8, a NUL byte, its content and
// another NUL byte.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "src", "promisam", "app", "static");

async function sources() {
  const below = await readdir(join(here, "src"), { recursive: true, withFileTypes: true });
  const files = below
    .filter((entry) => entry.isFile())
    .map((entry) => relative(here, join(entry.parentPath, entry.name)).split(sep).join("/"));
  files.push("package-lock.json");
  files.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const hash = createHash("sha256");
  for (const file of files) hash.update(file).update("\0").update(await readFile(join(here, file))).update("\0");
  return hash.digest("hex");
}

async function licences(inputs) {
  const packages = new Set();
  for (const input of Object.keys(inputs)) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  const parts = [];
  for (const folder of [...packages].sort()) {
    const place = join(here, folder);
    const about = JSON.parse(await readFile(join(place, "package.json"), "utf8"));
    const names = (await readdir(place)).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name)).sort();
    const texts = await Promise.all(names.map((name) => readFile(join(place, name), "utf8")));
    const text = texts.length ? texts.map((one) => one.trim()).join("\n\n") : await fallback(about);
    parts.push(`${about.name} ${about.version} (${about.license})\n\n${text}\n`);
  }
  return parts.join(`\n${"-".repeat(80)}\n\n`);
}

// Some packages are published without their licence file; its text lies in licences/NAME.txt then.
async function fallback(about) {
  const file = join(here, "licences", `${about.name.replace("/", "__")}.txt`);
  try {
    return (await readFile(file, "utf8")).trim();
  } catch {
    throw new Error(`${about.name} has no licence text; put it into ${relative(here, file)}.`);
  }
}

await mkdir(out, { recursive: true });
// NiiVue computes a gradient of the whole volume at each change of the levels, which only its shaded render uses. This
// page does not shade; without a GPU the gradient takes many seconds, with one it takes as much memory as the volume.
const withoutGradient = {
  name: "without-gradient",
  setup({ onLoad }) {
    onLoad({ filter: /@niivue[/\\]niivue[/\\]build[/\\]niivue[/\\]index\.js$/ }, async ({ path }) => {
      const before = await readFile(path, "utf8");
      const call = "      this.volumeTexture = outTexture;\n      this.gradientTexture = gradientGL({";
      if (before.split(call).length !== 2) throw new Error("This version of NiiVue computes the gradient elsewhere.");
      return { contents: before.replace(call, call.replace("this.gradientTexture", "if (this.gradientTextureAmount > 0) this.gradientTexture")), loader: "js" };
    });
  },
};

const result = await build({
  absWorkingDir: here,
  entryPoints: { page: "src/page.ts" },
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "none",
  plugins: [withoutGradient],
  alias: { zarrita: "./src/without_zarr.ts" },
  outdir: out,
  metafile: true,
  logLevel: "warning",
});
await build({ absWorkingDir: here, entryPoints: ["src/page.css"], minify: true, target: ["es2022"], outdir: out, logLevel: "warning" });
await copyFile(join(here, "src", "index.html"), join(out, "index.html"));
await writeFile(join(out, "THIRD_PARTY.txt"), await licences(result.metafile.inputs));
await writeFile(join(out, "build.json"), `${JSON.stringify({ sources: await sources() })}\n`);
const [{ bytes }] = Object.values(result.metafile.outputs);
console.log(`page.js: ${(bytes / 1e6).toFixed(2)} MB`);
