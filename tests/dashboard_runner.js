/* Runs the dashboard strategy without a browser: reads a call from standard input, writes what it returns. */

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const PACKAGE = path.join(__dirname, "..", "custom_components", "metaapi");
const { call, hass, before, config, language, more } = JSON.parse(fs.readFileSync(0, "utf-8"));

/** Look up a text by its path, as the frontend does with what the backend sent. */
const texts = JSON.parse(
  fs.readFileSync(path.join(PACKAGE, "translations", `${language}.json`), "utf-8")
);
const asked = new Set();
const localize = (key, values) => {
  const [, , ...parts] = key.split(".");
  asked.add(parts.join("."));
  const text = more[parts.join(".")] ?? parts.reduce((found, part) => found?.[part], texts) ?? "";
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    if (!(name in (values ?? {}))) throw new Error(`${key} gets no ${name}`);
    return values[name];
  });
};
for (const each of [hass, before]) {
  if (each) each.loadBackendTranslation = async () => localize;
}

class Element {
  listeners = {};
  addEventListener(type, listener) {
    this.listeners[type] = listener;
  }
  dispatchEvent(event) {
    this.listeners[event.type](event);
  }
  append(child) {
    this.child = child;
  }
}

const defined = new Map([["ha-form", Element]]);
const window = {};
vm.runInNewContext(fs.readFileSync(path.join(PACKAGE, "dashboard.js"), "utf-8"), {
  Intl,
  HTMLElement: Element,
  CustomEvent: class {
    constructor(type, options) {
      Object.assign(this, { type }, options);
    }
  },
  window,
  document: {
    createElement: (tag) => new (defined.get(tag))(),
    querySelector: () => ({ hass: { ...hass, localize } }),
  },
  customElements: {
    define: (tag, element) => defined.set(tag, element),
    get: (tag) => defined.get(tag),
    whenDefined: async () => undefined,
  },
});

/** Show the form, have the user change it, and return both. */
const edit = async (strategy) => {
  const editor = strategy.getConfigElement();
  const changed = [];
  editor.addEventListener("config-changed", ({ detail }) => changed.push(detail.config));
  editor.hass = hass;
  editor.setConfig(config.before);
  await new Promise(setImmediate);
  const { schema, data, computeLabel, computeHelper, listeners } = editor.child;
  const texts = schema.map((field) => [computeLabel(field), computeHelper(field)]);
  listeners["value-changed"]({ stopPropagation() {}, detail: { value: { ...data, ...config.change } } });
  return { schema, data, texts, changed };
};

(async () => {
  await new Promise(setImmediate);
  const strategy = defined.get("ll-strategy-dashboard-metaapi");
  const calls = {
    generate: () => strategy.generate(config, hass),
    shouldRegenerate: () => {
      // The frontend keeps an object as long as nothing in it changed
      for (const key of Object.keys(hass)) {
        if (JSON.stringify(before[key]) === JSON.stringify(hass[key])) before[key] = hass[key];
      }
      return strategy.shouldRegenerate(config, before, hass);
    },
    getCreateSuggestions: () => strategy.getCreateSuggestions(hass),
    offered: () => window.customStrategies,
    edit: () => edit(strategy),
  };
  // A copy of it asks for the texts that it looks up when they are read
  const result = JSON.parse(JSON.stringify(await calls[call]()));
  process.stdout.write(JSON.stringify({ result, asked: [...asked] }));
})();
