/*
 * Dashboard strategy `custom:metaapi`: the accounts of a home on Home Assistant's own cards.
 *
 * What changes by the second is left to conditions and to one template, which the frontend follows
 * by itself. This code runs again only when accounts come, go or are renamed.
 */

const DOMAIN = "metaapi";
const ICON = "mdi:finance";
const RECONNECT_ICON = "mdi:restart";
const SECTIONS = {
  now: "section_now",
  accounts: "section_accounts",
  downtime: "downtime",
  history: "history",
  activity: "activity",
};
const HOURS = 24;
const MAX_COLUMNS = 4;

// More accounts make a list, and have a page each: the cards of hundreds take the browser a minute
const ON_ONE_PAGE = 10;
const LIST = 25;

const CONNECTED = ["connected"];
const TERMINAL_DOWN = [
  "disconnected",
  "silent",
  "reconnecting",
  "reconnect_failed",
  "never_authenticated",
];
const BROKER_DOWN = ["broker_disconnected"];
const DOWN = [...TERMINAL_DOWN, ...BROKER_DOWN];
const REFUSED = ["not_found", "quota_exhausted", "forbidden", "token_refused"];
const OUT_OF_SIGHT = ["no_answer", "no_connection", ...REFUSED, "unavailable"];
// After a start nobody knows yet, except that what was down may well be down still
const UNDECIDED = ["unknown"];
const IDLE = ["not_deployed", ...UNDECIDED];

// Where a reconnect can help; it asks first where the terminal is, or may be, connected
const RECONNECT = TERMINAL_DOWN.filter((status) => status !== "reconnecting");
const ASK = [...CONNECTED, ...BROKER_DOWN, "no_answer"];

const LOOKS = [
  ["green", CONNECTED, ["state", "last_changed"]],
  ["red", DOWN, ["state"]],
  ["orange", OUT_OF_SIGHT, ["state"]],
  ["grey", IDLE, ["state"]],
];

// Stay in a text until something is filled in
const PLACEHOLDERS = Object.fromEntries(
  ["account", "duration", "outcome", "time"].map((name) => [name, `{${name}}`])
);

/** Return what looks up the texts of the integration in the user's language. */
const loadTexts = async (hass) => {
  await hass.loadBackendTranslation("entity", DOMAIN);
  const localize = await hass.loadBackendTranslation("common", DOMAIN);
  const text = (key) => localize(`component.${DOMAIN}.${key}`, PLACEHOLDERS);
  return {
    common: (key) => text(`common.dashboard_${key}`),
    name: (platform, key) => text(`entity.${platform}.${key}.name`),
    status: (key) =>
      text(`entity.sensor.status.state.${key}`) || text("common.dashboard_unavailable"),
    outcome: (key) =>
      text(`entity.event.reconnect_result.state_attributes.event_type.state.${key}`),
  };
};

/** Put values where a text has their placeholders. */
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

const escapeHtml = (text) =>
  text.replace(/[&<>"']/g, (letter) => `&#${letter.codePointAt(0)};`);

/** Return the accounts by name, each with the ids of its entities. */
const findAccounts = (hass, wanted) => {
  const byDevice = new Map();
  for (const entity of Object.values(hass.entities)) {
    const key = entity.translation_key;
    if (entity.platform !== DOMAIN || !entity.device_id || !key || key === "link") continue;
    const device = hass.devices[entity.device_id];
    if (!device || (wanted?.length && !wanted.includes(device.id))) continue;
    if (!byDevice.has(device.id)) byDevice.set(device.id, { device });
    // A user may hide what they do not want to see, but an account must not be down unseen
    if (!entity.hidden || ["status", "terminal", "broker"].includes(key)) {
      byDevice.get(device.id)[key] = entity.entity_id;
    }
  }
  const accounts = [...byDevice.values()];
  const nameOf = ({ device }) => device.name_by_user || device.name || device.id;
  const count = new Map();
  for (const each of accounts) count.set(nameOf(each), (count.get(nameOf(each)) ?? 0) + 1);
  for (const each of accounts) {
    const { device } = each;
    const [, id] = device.identifiers?.find(([domain]) => domain === DOMAIN) ?? [];
    each.name = nameOf(each);
    if (count.get(each.name) > 1) each.name += ` (${device.serial_number || id || device.id})`;
  }
  const { compare } = new Intl.Collator(hass.locale.language, { numeric: true });
  return accounts.sort((one, other) => compare(one.name, other.name));
};

/** Return the condition under which an account has one of these statuses. */
const hasStatus = ({ status, terminal, broker }, statuses) => {
  if (status) return { condition: "state", entity: status, state: statuses };
  // Without its status an account is judged by what is left
  const is = (entity, ...state) => ({ condition: "state", entity, state });
  const conditions = [];
  if (terminal && statuses.includes("disconnected")) conditions.push(is(terminal, "off"));
  if (broker && statuses.includes("broker_disconnected")) conditions.push(is(broker, "off"));
  if (terminal && statuses.includes("unavailable")) conditions.push(is(terminal, "unavailable"));
  if (terminal && statuses.includes("unknown")) conditions.push(is(terminal, "unknown"));
  if (terminal && statuses.includes("connected")) {
    const brokerUp = { condition: "not", conditions: [is(broker, "off")] };
    const up = [is(terminal, "on"), ...(broker ? [brokerUp] : [])];
    conditions.push({ condition: "and", conditions: up });
  }
  return { condition: "or", conditions };
};

/** Return how times are written for this user, for Python's strftime. */
const timeFormat = (hass) => {
  const { language, time_format: wanted, time_zone: zone } = hass.locale;
  const { hour12 } = new Intl.DateTimeFormat(wanted === "system" ? undefined : language, {
    hour: "numeric",
  }).resolvedOptions();
  const isHour12 = wanted === "12" || (wanted !== "24" && hour12);
  const time = isHour12 ? "%-I:%M %p" : "%H:%M";
  const format = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
  const months = [];
  for (let month = 0; month < 12; month += 1) {
    const parts = format.formatToParts(new Date(2026, month, 15));
    months.push(parts.find(({ type }) => type === "month").value);
  }
  const parts = { day: "%-d", month: "{month}" };
  const date = format
    .formatToParts(new Date(2026, 0, 15))
    .map(({ type, value }) => parts[type] ?? value.replaceAll("%", "%%"))
    .join("");
  const now = new Date();
  const isElsewhere =
    zone !== "server" &&
    now.toLocaleString("en") !== now.toLocaleString("en", { timeZone: hass.config.time_zone });
  const minutes = -now.getTimezoneOffset();
  return {
    time,
    date: `${date}, ${time}`,
    months,
    local: (moment) =>
      isElsewhere ? `(${moment} + timedelta(minutes=${minutes}))` : `as_local(${moment})`,
  };
};

/** Return how the language counts a unit: once, and more often. */
const countedAs = (unit, language) => {
  const format = new Intl.NumberFormat(language, { style: "unit", unit });
  return [1, 2].map((number) =>
    format
      .formatToParts(number)
      .map(({ type, value }) => (type === "integer" ? "#" : value))
      .join("")
  );
};

/** Return the template of what is down and what cannot be seen: which, why, since when, what was tried. */
const nowTemplate = (hass, accounts, texts) => {
  const { time, date, months, local } = timeFormat(hass);
  const literal = JSON.stringify;
  const watched = accounts.filter(({ status, terminal, broker }) => status || terminal || broker);
  const items = watched.map((each) => ({
    name: escapeHtml(each.name),
    status: each.status ?? "",
    terminal: each.terminal ?? "",
    broker: each.broker ?? "",
    since: each.disconnected_since ?? "",
    result: each.reconnect_result ?? "",
  }));
  const reasons = {};
  for (const status of [...DOWN, ...OUT_OF_SIGHT]) reasons[status] = texts.status(status);
  for (const status of UNDECIDED) reasons[status] = texts.common("checking");
  const outcomes = {};
  for (const { result } of items) {
    for (const each of hass.states[result]?.attributes.event_types ?? []) {
      outcomes[each] ??= texts.outcome(each);
    }
  }
  const units = {};
  for (const each of ["day", "hour", "minute"]) {
    units[each] = countedAs(each, hass.locale.language);
  }
  const boxes = (kind, key, groups) =>
    `{%- if ${groups} %}## {{ ${literal(texts.common(key))} }}

{% for details, names in ${groups}.items() %}<ha-alert alert-type="${kind}" title="{{ names | join(", ") }}">{{ details }}</ha-alert>

{% endfor %}{% endif -%}`;
  return `{%- macro clock(moment) -%}
{%- set at = ${local("moment")} -%}
{%- set is_today = at.date() == ${local("utcnow()")}.date() -%}
{{- at.strftime(${literal(time)} if is_today else ${literal(date)}).replace("{month}", ${literal(months)}[at.month - 1]) -}}
{%- endmacro -%}
{%- macro counted(number, unit) -%}
{{- ${literal(units)}[unit][number != 1].replace("#", number | string) -}}
{%- endmacro -%}
{%- macro lasting(moment) -%}
{%- set minutes = ((utcnow() - moment).total_seconds() // 60) | int -%}
{%- if minutes < 1 -%}{{ ${literal(escapeHtml(texts.common("moments")))} }}
{%- elif minutes < 60 -%}{{ counted(minutes, "minute") }}
{%- elif minutes < 1440 -%}{{ counted(minutes // 60, "hour") }} {{ counted(minutes % 60, "minute") }}
{%- else -%}{{ counted(minutes // 1440, "day") }} {{ counted(minutes % 1440 // 60, "hour") }}
{%- endif -%}
{%- endmacro -%}
{%- set reasons = ${literal(reasons)} -%}
{%- set outcomes = ${literal(outcomes)} -%}
{%- set found = namespace(down={}, out_of_sight={}, connected=0) -%}
{%- for account in ${literal(items)} -%}
{%- set terminal = states(account.terminal) if account.terminal else "unknown" -%}
{%- set broker = states(account.broker) if account.broker else "unknown" -%}
{%- if account.status -%}{%- set status = states(account.status) -%}
{%- elif broker == "off" -%}{%- set status = "broker_disconnected" -%}
{%- else -%}{%- set status = {"on": "connected", "off": "disconnected"}.get(terminal, terminal) -%}
{%- endif -%}
{%- set known = as_datetime(states(account.since), none) if account.since else none -%}
{%- if status == "connected" -%}{%- set found.connected = found.connected + 1 -%}
{%- elif status in reasons and (known or status not in ${literal(UNDECIDED)}) -%}
{%- set is_down = status in ${literal([...DOWN, ...UNDECIDED])} -%}
{%- set watched = account.broker if status == "broker_disconnected" and account.broker else account.terminal -%}
{%- set watched = (states[watched] if watched else none) or (states[account.status] if account.status else none) -%}
{%- set stored = as_datetime(state_attr(account.status, "since") or "", none) if account.status else none -%}
{%- set since = (known if is_down else none) or stored or (watched.last_changed if watched else none) -%}
{%- set tried = as_datetime(states(account.result), none) if account.result else none -%}
{%- set outcome = outcomes.get(state_attr(account.result, "event_type")) if tried and since and tried > since else none -%}
{%- set lines = [reasons[status]] -%}
{%- if status == "broker_disconnected" -%}{%- set since_text = ${literal(texts.common("without_broker_since"))} -%}
{%- elif is_down -%}{%- set since_text = ${literal(texts.common("down_since"))} -%}
{%- else -%}{%- set since_text = ${literal(texts.common("out_of_sight_since"))} -%}
{%- endif -%}
{%- if since -%}{%- set lines = lines + [since_text.format(time=clock(since), duration=lasting(since))] -%}{%- endif -%}
{%- if outcome -%}{%- set lines = lines + [${literal(texts.common("tried"))}.format(time=clock(tried), outcome=outcome)] -%}{%- endif -%}
{%- set details = lines | join("<br>") -%}
{%- set groups = found.down if is_down else found.out_of_sight -%}
{%- set groups = dict(groups, **{details: groups.get(details, []) + [account.name]}) -%}
{%- if is_down -%}{%- set found.down = groups -%}{%- else -%}{%- set found.out_of_sight = groups -%}{%- endif -%}
{%- endif -%}
{%- endfor -%}
${boxes("error", "down", "found.down")}
${boxes("warning", "out_of_sight", "found.out_of_sight")}
{%- if not found.down and not found.out_of_sight -%}
{%- if found.connected == ${items.length} %}<ha-alert alert-type="success">{{ ${literal(
    escapeHtml(texts.common("all_connected"))
  )} }}</ha-alert>
{%- else %}<ha-alert alert-type="info">{{ ${literal(
    escapeHtml(texts.common("none_down"))
  )} }}</ha-alert>{% endif -%}
{%- endif -%}`;
};

/** Return the actions that reconnect an account, each with its condition: one at a time, or none where it cannot help. */
const reconnectActions = (account, texts, statuses) => {
  if (!account.reconnect || !(account.status || account.terminal)) return [];
  const press = {
    action: "perform-action",
    perform_action: "button.press",
    target: { entity_id: account.reconnect },
  };
  const confirmation = {
    title: fill(texts.common("confirm_title"), { account: account.name }),
    text: texts.common("confirm"),
    confirm_text: texts.name("button", "reconnect"),
  };
  return [
    [RECONNECT, press],
    [ASK, { ...press, confirmation }],
  ].map(([among, action]) => ({
    tap_action: action,
    visibility: [hasStatus(account, among.filter((status) => statuses.includes(status)))],
  }));
};

const heading = (text, icon, more) => ({ type: "heading", heading: text, icon, ...more });

/** Return the section on top: what is down, what cannot be seen, and what helps. */
const nowSection = (hass, accounts, texts) => ({
  type: "grid",
  column_span: MAX_COLUMNS,
  cards: [
    {
      type: "markdown",
      text_only: true,
      content: nowTemplate(hass, accounts, texts),
      grid_options: { columns: "full" },
    },
    ...accounts.flatMap((account) =>
      reconnectActions(account, texts, [...DOWN, ...OUT_OF_SIGHT]).map((each) => ({
        type: "tile",
        entity: account.reconnect,
        name: fill(texts.common("reconnect"), { account: account.name }),
        icon: RECONNECT_ICON,
        color: "red",
        hide_state: true,
        icon_tap_action: each.tap_action,
        ...each,
      }))
    ),
  ].map((card) => ({ grid_options: { columns: 12 }, ...card })),
});

/** Return the section of an account: its status, since when, and the button. */
const accountSection = (account, texts, path) => {
  const { name, status, terminal, disconnected_since: since } = account;
  const entity = status ?? terminal;
  const cards = [
    heading(name, ICON, {
      tap_action: { action: "navigate", navigation_path: path },
      badges: reconnectActions(account, texts, [...CONNECTED, ...DOWN, ...OUT_OF_SIGHT]).map(
        (each) => ({
          type: "button",
          icon: RECONNECT_ICON,
          text: texts.name("button", "reconnect"),
          ...each,
        })
      ),
    }),
  ];
  if (entity) {
    cards.push(
      ...LOOKS.map(([color, statuses, content]) => ({
        type: "tile",
        entity,
        name: texts.name("sensor", "status"),
        color,
        state_content: content,
        grid_options: { columns: "full" },
        visibility: [hasStatus(account, statuses)],
      }))
    );
  }
  if (since) {
    cards.push({
      type: "tile",
      entity: since,
      name: texts.name("sensor", "disconnected_since"),
      color: "red",
      grid_options: { columns: "full" },
      visibility: [
        { condition: "state", entity: since, state_not: ["unknown", "unavailable"] },
        hasStatus(account, [...DOWN, ...OUT_OF_SIGHT, ...UNDECIDED]),
      ],
    });
  }
  return { type: "grid", cards };
};

/** Return sections that list accounts by their status; each leads to the page of the account. */
const listSections = (accounts, pathOf) => {
  const rows = accounts
    .filter(({ status, terminal }) => status || terminal)
    .map((account) => ({
      entity: account.status ?? account.terminal,
      name: account.name,
      tap_action: { action: "navigate", navigation_path: pathOf(account) },
    }));
  const sections = [];
  for (let start = 0; start < rows.length; start += LIST) {
    const entities = rows.slice(start, start + LIST);
    sections.push({ type: "grid", cards: [{ type: "entities", entities }] });
  }
  return sections;
};

/** Return the section with how long an account was down, as Home Assistant's statistics know it. */
const downtimeSection = ({ downtime, name }, texts) => ({
  type: "grid",
  cards: [
    heading(`${texts.common("downtime")} · ${name}`, "mdi:timer-alert-outline"),
    ...["day", "week", "month"].map((period) => ({
      type: "statistic",
      entity: downtime,
      name: texts.common(period),
      period: { calendar: { period } },
      stat_type: "change",
      grid_options: { columns: period === "month" ? 12 : 6 },
    })),
  ],
});

const historySection = (accounts, texts) => ({
  type: "grid",
  column_span: 2,
  cards: [
    heading(texts.common("history"), "mdi:chart-timeline"),
    {
      type: "history-graph",
      hours_to_show: HOURS,
      grid_options: { columns: "full" },
      entities: accounts
        .map(({ status, terminal, name }) => ({ entity: status ?? terminal, name }))
        .filter(({ entity }) => entity),
    },
  ],
});

const activitySection = (accounts, texts) => ({
  type: "grid",
  column_span: 2,
  cards: [
    heading(texts.common("activity"), "mdi:clock-outline"),
    {
      type: "logbook",
      hours_to_show: HOURS,
      grid_options: { columns: "full", rows: 6 },
      target: {
        entity_id: accounts
          // the outages themselves are told beside the result of an attempt
          .map(({ status, terminal, reconnect_result: result }) => result ?? terminal ?? status)
          .filter(Boolean),
      },
    },
  ],
});

const emptyView = (hass, texts) => ({
  type: "panel",
  cards: [
    {
      type: "empty-state",
      content_only: true,
      icon: ICON,
      title: texts.common("empty_title"),
      content: texts.common("empty"),
      ...(hass.user?.is_admin && {
        buttons: [
          {
            text: texts.common("add"),
            appearance: "filled",
            variant: "brand",
            tap_action: {
              action: "navigate",
              navigation_path: `/config/integrations/dashboard/add?domain=${DOMAIN}`,
            },
          },
        ],
      }),
    },
  ],
});

/** Return the dashboard of a home. */
const generate = async (config, hass) => {
  const texts = await loadTexts(hass);
  const accounts = findAccounts(hass, config.accounts);
  const title = texts.common("title");
  const main = { title, path: "accounts", icon: ICON };
  if (!accounts.length) return { title, views: [{ ...main, ...emptyView(hass, texts) }] };

  const wanted = config.sections ?? Object.keys(SECTIONS);
  const ifWanted = (section, make) => (wanted.includes(section) ? make() : []);
  const detailsOf = (some) => [
    ...ifWanted("downtime", () =>
      some.filter(({ downtime }) => downtime).map((each) => downtimeSection(each, texts))
    ),
    ...ifWanted("history", () => [historySection(some, texts)]),
    ...ifWanted("activity", () => [activitySection(some, texts)]),
  ];
  const isOnOnePage = accounts.length <= ON_ONE_PAGE;
  const pathOf = ({ device }) =>
    isOnOnePage ? `/config/devices/device/${device.id}` : `account-${device.id}`;
  const page = { type: "sections", max_columns: MAX_COLUMNS };
  const views = [
    {
      ...main,
      ...page,
      sections: [
        ...ifWanted("now", () => [nowSection(hass, accounts, texts)]),
        ...ifWanted("accounts", () =>
          isOnOnePage
            ? accounts.map((each) => accountSection(each, texts, pathOf(each)))
            : listSections(accounts, pathOf)
        ),
        ...(isOnOnePage ? detailsOf(accounts) : []),
      ],
    },
  ];
  if (!isOnOnePage) {
    views.push(
      ...accounts.map((each) => ({
        title: each.name,
        path: pathOf(each),
        subview: true,
        ...page,
        sections: [
          accountSection(each, texts, `/config/devices/device/${each.device.id}`),
          ...detailsOf([each]),
        ],
      }))
    );
  }
  return { title, views };
};

/** Return whether the dashboard must be made anew: other entities of the home are no reason. */
const shouldRegenerate = (config, before, now) => {
  const read = (hass) =>
    JSON.stringify([hass.language, hass.locale, findAccounts(hass, config.accounts)]);
  return (
    ["entities", "devices", "locale", "language"].some((each) => before[each] !== now[each]) &&
    read(before) !== read(now)
  );
};

/** Return what the dialog that adds a dashboard suggests. */
const getCreateSuggestions = async (hass) => {
  const texts = await loadTexts(hass);
  return { title: texts.common("title"), icon: ICON };
};

/** Have the frontend load its forms, which come with the editor of any card. */
const loadForm = async () => {
  if (customElements.get("ha-form")) return;
  const helpers = await window.loadCardHelpers();
  helpers.createCardElement({ type: "tile", entity: "sun.sun" });
  await customElements.whenDefined("hui-tile-card");
  await customElements.get("hui-tile-card").getConfigElement();
};

const register = () => {
  const strategy = `ll-strategy-dashboard-${DOMAIN}`;
  const editor = `${strategy}-editor`;

  customElements.define(
    strategy,
    class extends HTMLElement {
      static generate = generate;

      static shouldRegenerate = shouldRegenerate;

      static getCreateSuggestions = getCreateSuggestions;

      static getConfigElement = () => document.createElement(editor);
    }
  );

  // The form that chooses accounts and sections
  customElements.define(
    editor,
    class extends HTMLElement {
      setConfig(config) {
        this._config = config;
        this._update();
      }

      set hass(hass) {
        this._hass = hass;
        this._update();
      }

      async _update() {
        if (!this._hass || !this._config) return;
        this._form ??= this._create();
        const [form, texts] = await this._form;
        const options = Object.entries(SECTIONS).map(([value, label]) => ({
          value,
          label: texts.common(label),
        }));
        form.hass = this._hass;
        form.schema = [
          {
            name: "accounts",
            selector: {
              device: { multiple: true, entity: { integration: DOMAIN, domain: "sensor" } },
            },
          },
          { name: "sections", selector: { select: { multiple: true, mode: "list", options } } },
        ];
        form.data = { accounts: [], sections: Object.keys(SECTIONS), ...this._config };
        this.append(form);
      }

      async _create() {
        const [texts] = await Promise.all([loadTexts(this._hass), loadForm()]);
        const form = document.createElement("ha-form");
        form.computeLabel = ({ name }) => texts.common(`option_${name}`);
        form.computeHelper = ({ name }) => texts.common(`option_${name}_help`);
        form.addEventListener("value-changed", (event) => {
          event.stopPropagation();
          this._change(event.detail.value);
        });
        return [form, texts];
      }

      _change({ accounts, sections, ...others }) {
        const config = { ...others };
        if (accounts?.length) config.accounts = accounts;
        if (Object.keys(SECTIONS).some((each) => !sections.includes(each))) {
          config.sections = sections;
        }
        this.dispatchEvent(
          new CustomEvent("config-changed", { detail: { config }, bubbles: true, composed: true })
        );
      }
    }
  );

  window.customStrategies ??= [];
  window.customStrategies.push({
    type: DOMAIN,
    strategyType: "dashboard",
    name: "MetaApi",
    get description() {
      const { hass } = document.querySelector("home-assistant") ?? {};
      hass?.loadBackendTranslation("common", DOMAIN);
      return (
        hass?.localize(`component.${DOMAIN}.common.dashboard_description`) ||
        "What is down, since when and why, with a button that reconnects it."
      );
    },
    documentationURL: "https://github.com/ha-metaapi/ha-metaapi",
  });
};

// What is defined earlier is lost: the frontend begins with replacing the registry of elements
customElements.whenDefined("home-assistant").then(register);
