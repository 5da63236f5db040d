// The page of a workcell. All that comes from outside is set as text, never as HTML.
"use strict";

const STALE_AFTER = 12000; // ms without a word: what is shown may be old

const $ = (id) => document.getElementById(id);
const NAME = decodeURIComponent(location.pathname.split("/")[2] || "");
const BASE = `/w/${encodeURIComponent(NAME)}`;

// ---- small helpers -------------------------------------------------------------------------------

function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function row(...cells) {
  const tr = make("tr");
  for (const cell of cells) {
    const td = make("td");
    td.append(cell === null || cell === undefined ? "" : cell);
    tr.append(td);
  }
  return tr;
}

function state(word) {
  return make("span", word, `state is-${word.replace(/[^a-z]+/g, "-")}`);
}

function clock(iso, withDay) {
  if (!iso) return "";
  const at = new Date(iso);
  const two = (n) => String(n).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const today = at.toDateString() === new Date().toDateString();
  return today && !withDay ? time : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

function show(node, text) {
  node.textContent = text || "";
  node.hidden = !text;
}

// ---- who acts: the token stays in this tab -------------------------------------------------------

const kept = {
  get token() { return sessionStorage.getItem("praxis-token") || ""; },
  set token(value) { sessionStorage.setItem("praxis-token", value); },
  get by() { return localStorage.getItem("praxis-by") || ""; },
  set by(value) { localStorage.setItem("praxis-by", value); },
};

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  kept.token = given;
  history.replaceState(null, "", location.pathname);
  askForTokens();
}

function askForTokens() {
  for (const label of document.querySelectorAll("label.token")) label.hidden = Boolean(kept.token);
}

async function act(path, words, form) {
  const field = form.querySelector(".token-field");
  if (field && field.value) kept.token = field.value.trim();
  if (!/^[\x21-\x7e]*$/.test(kept.token)) kept.token = "";
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${kept.token}` },
      body: JSON.stringify(words),
      credentials: "omit",
      cache: "no-store",
    });
  } catch {
    throw new Error("No answer: nobody knows whether it was heard.");
  }
  if (answer.status === 401) {
    kept.token = "";
    if (field) field.value = "";
    askForTokens();
    throw new Error("This needs the token. Open the page with the link that this shows: praxis workcell page " + NAME);
  }
  const said = await answer.json().catch(() => ({ error: `answer ${answer.status}` }));
  if (!answer.ok) throw new Error(said.error || `answer ${answer.status}`);
  askForTokens();
  return said;
}

// ---- the parts of the page -----------------------------------------------------------------------

const parts = {
  read(at) { $("read").textContent = `as of ${clock(at)}`; },
  alive() {},
  trouble(all) {
    $("trouble").replaceChildren(...all.map((one) => make("li", `Not up to date: ${one}`)));
    $("trouble").hidden = all.length === 0;
  },
  host(host) {
    let told = "Its host does not answer: nothing is sent to its devices by Praxis, or nobody knows. praxis status";
    if (host.answers) {
      told = `Host: process ${host.pid}, epoch ${host.epoch}`;
      if (!host.watched) told += "; nobody watches it: praxis up";
      if (host.ending) told += "; it is ending";
    } else if (host.error) told = host.error;
    $("host").textContent = told;
    $("host").className = host.answers && host.watched ? "quiet" : "error";
    last.stopped = Boolean(host.stopped);
    standing();
  },
  standing(one) { last.standing = one; standing(); },
  devices(all) {
    $("devices").replaceChildren(...all.map((one) => {
      const name = make("div", one.name);
      name.append(make("small", one.class));
      const doing = make("div", one.doing);
      if (one.error) doing.append(make("div", one.error, "error"));
      if (one.gripper) doing.append(make("div", `gripper holds ${one.gripper}`));
      if (one.holds && one.holds.length) doing.append(make("div", `holds ${one.holds.join(", ")}`));
      if (one.since && one.state !== "idle") doing.append(make("small", `since ${clock(one.since)}`));
      return row(name, state(one.state), doing);
    }));
  },
  deck(deck) {
    $("deck").replaceChildren(...deck.table.map((one) => row(one.name, one.place, one.contents)));
    show($("picture-problem"), deck.problem ? `No picture: ${deck.problem}` : deck.picture ? "" : "The picture is being drawn.");
    if (deck.problem) $("deck-details").open = true;
    picture(deck.picture);
  },
  runs(all) {
    const nodes = all.filter((one, i) => !one.ended || i < 4).map(run);
    $("runs").replaceChildren(...(nodes.length ? nodes : [make("p", "No run yet.", "quiet")]));
  },
  waits(all) {
    const nodes = all.map((one) => make("li", `${one.who} waits: ${one.for}`));
    $("waits").replaceChildren(...(nodes.length ? nodes : [make("li", "Nobody waits.", "quiet")]));
  },
  commands(all) {
    const nodes = all.map((one) => {
      const at = make("span", clock(one.at), "time");
      const told = make("div", one.told);
      if (one.error) told.append(make("div", one.error, "error"));
      const tr = row(at, told, state(one.outcome || "under way"), one.seconds === null ? "" : `${one.seconds.toFixed(2)} s`);
      tr.lastChild.className = "number";
      return tr;
    });
    const none = make("tr");
    none.append(make("td", "None yet.", "quiet"));
    $("commands").replaceChildren(...(nodes.length ? nodes : [none]));
  },
  questions,
};

const last = { stopped: false, standing: null, heard: Date.now(), connected: false };

function standing() {
  const one = last.standing;
  const stopped = last.stopped || (one && one.standing === "workcell_stopped");
  $("standing").textContent = stopped ? "stopped" : !one ? "" : one.open ? "in use" : "draining";
  $("standing").className = `standing ${stopped ? "error" : ""}`;
  const told = one && !one.open ? one.told[0].toUpperCase() + one.told.slice(1) : `Workcell ${NAME} is stopped`;
  show($("stopped"), stopped || (one && !one.open) ? `${told}. Take it into use again: praxis workcell start ${NAME}` : "");
}

function run(one) {
  const node = make("div", null, one.ended ? "run old" : "run");
  const head = make("p");
  head.append(make("strong", one.name), " ", state(one.status));
  node.append(head);
  let about = one.by_hand ? `by hand, ${one.by}` : one.protocol;
  // Nobody signs in yet: of most runs nobody knows who asked for them.
  if (!one.by_hand && one.by !== "unverified") about += `, asked by ${one.by}`;
  if (one.attempt > 1) about += `, attempt ${one.attempt}`;
  if (one.water) about += ", with water";
  if (one.ended ? one.ended_at : one.started) about += one.ended ? `, ended ${clock(one.ended_at)}` : `, since ${clock(one.started)}`;
  const id = make("p", about + " ", "quiet");
  const report = make("a", one.ended ? "report" : "report so far");
  report.href = `/runs/${encodeURIComponent(one.id)}/report`;
  report.target = "_blank";
  report.rel = "noopener";
  id.append(make("code", one.id.slice(0, 8)), " ", report);
  node.append(id);
  if (one.steps.length) node.append(make("p", `Step: ${one.steps.join(", ")}`));
  if (one.paused) node.append(make("p", `${one.paused}. praxis run go-on ${one.id.slice(0, 8)}`));
  if (one.parked_until) node.append(make("p", `Parked until ${clock(one.parked_until)}`));
  if (one.error) node.append(make("p", one.error, "error"));
  if (one.has.length) node.append(make("p", `Has ${one.has.join(", ")}`, "quiet"));
  return node;
}

// The next picture is loaded behind the present one, so that nothing flickers.
let shown = null;
function picture(version) {
  if (version === shown) return;
  shown = version;
  const box = $("picture");
  if (!version) return box.replaceChildren();
  for (const old of box.querySelectorAll("iframe.coming")) old.remove();
  const next = make("iframe");
  next.className = "coming";
  next.tabIndex = -1;
  next.title = `Picture of the deck of ${NAME}; the table below says the same`;
  next.addEventListener("load", () => {
    const root = next.contentDocument && next.contentDocument.documentElement;
    const size = root && root.viewBox && root.viewBox.baseVal;
    if (size && size.height) next.style.aspectRatio = `${size.width} / ${size.height}`;
    for (const old of box.querySelectorAll("iframe")) if (old !== next) old.remove();
    next.className = "";
  });
  next.src = `${BASE}/deck.svg?${version}`;
  box.append(next);
}

// ---- questions -----------------------------------------------------------------------------------

function questions(all) {
  const box = $("questions");
  const wanted = new Set(all.map((one) => String(one.id)));
  for (const node of [...box.children]) if (!wanted.has(node.dataset.id)) node.remove();
  for (const one of all) {
    // What somebody is just filling in stays as it is.
    if (![...box.children].some((node) => node.dataset.id === String(one.id))) box.append(question(one));
  }
  $("questions-part").hidden = all.length === 0;
  document.title = (all.length ? `(${all.length}) ` : "") + NAME;
}

function question(one) {
  const form = make("form", null, `question ${one.kind}`);
  form.dataset.id = one.id;
  form.append(make("h3", one.title));
  form.append(make("p", `${one.run_name}, asked at ${clock(one.since)}`, "quiet"));
  markdown(form, one.text || "");
  const read = one.kind === "doubt" ? choices(form, one) : fields(form, one.form);
  const by = field(form, "Your name", make("input"));
  by.value = kept.by;
  by.required = true;
  by.maxLength = 100;
  by.autocomplete = "name";
  const token = make("label", "Token ", "token");
  const secret = make("input", null, "token-field");
  secret.type = "password";
  secret.autocomplete = "off";
  token.append(secret);
  token.hidden = Boolean(kept.token);
  const problem = make("p", null, "problem");
  problem.hidden = true;
  problem.setAttribute("role", "alert");
  const button = make("button", one.kind === "question" && !Object.keys(one.form.properties || {}).length ? "Yes, it is done" : "Answer");
  form.append(token, problem, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    show(problem, "");
    button.disabled = true;
    try {
      const answer = read();
      if (answer === "abort" && !confirm(`Abort ${one.run_name}? It is given up, and cannot go on.`)) return;
      kept.by = by.value.trim();
      await act("/answer", { run: one.run, id: one.id, kind: one.kind, answer, by: by.value.trim() }, form);
      show($("said"), `Answered: ${one.title}`);
      form.remove();
      $("questions-part").hidden = $("questions").children.length === 0;
    } catch (error) {
      show(problem, error.message);
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

// What Praxis itself writes: bold words, lists, a block of code, pictures as data: URIs.
function markdown(form, text) {
  const pictures = /!\[([^\]]*)\]\((data:image\/(?:png|jpeg|svg\+xml);base64,[A-Za-z0-9+/=]+)\)/g;
  const plain = text.replace(pictures, "");
  const blocks = plain.split(/(```[^]*?```)/).flatMap((part) => (part.startsWith("```") ? [part] : part.split(/\n{2,}/)));
  for (const block of blocks) {
    const lines = block.trim().split("\n");
    if (block.trim().startsWith("```")) form.append(make("pre", lines.filter((line) => !line.startsWith("```")).join("\n")));
    else if (lines.every((line) => line.startsWith("- "))) {
      const list = make("ul");
      for (const line of lines) list.append(words(make("li"), line.slice(2)));
      form.append(list);
    } else if (block.trim()) form.append(words(make("p", null, "text"), block.trim()));
  }
  for (const [, alt, source] of text.matchAll(pictures)) {
    const image = make("img");
    image.alt = alt;
    image.src = source;
    form.append(image);
  }
}

function words(node, text) {
  text.split("**").forEach((part, i, all) => {
    const plain = part.replace(/\\([!-\/:-@[-`{-~])/g, "$1");
    node.append(i % 2 && i < all.length - 1 ? make("strong", plain) : plain);
  });
  return node;
}

function choices(form, one) {
  const words = { happened: "It happened, wholly", did_not_happen: "It did not happen: the deck is as before it", abort: "Abort the run" };
  const set = make("fieldset");
  set.append(make("legend", "Look at the deck first. What is so?"));
  for (const choice of one.choices) {
    const label = make("label", null, "check");
    const radio = make("input");
    radio.type = "radio";
    radio.name = `doubt-${one.id}`;
    radio.value = choice;
    radio.required = true;
    label.append(radio, words[choice] || choice);
    set.append(label);
  }
  form.append(set);
  return () => set.querySelector("input:checked").value;
}

function field(form, name, input, about) {
  const label = make("label", `${name} `);
  label.append(input);
  if (about) label.append(make("small", about));
  form.append(label);
  return input;
}

function fields(form, schema) {
  const properties = Object.entries(schema.properties || {});
  const plain = properties.every(([, one]) => one.enum || ["string", "number", "integer", "boolean"].includes(one.type));
  if (!plain) {
    const area = field(form, "Answer, as JSON", make("textarea"), Object.keys(schema.properties || {}).join(", "));
    area.value = "{}";
    return () => {
      try { return JSON.parse(area.value); } catch { throw new Error("It is no JSON."); }
    };
  }
  const needed = new Set(schema.required || []);
  const readers = properties.map(([name, one]) => [name, reader(form, name, one, needed.has(name))]);
  return () => Object.fromEntries(readers.map(([name, read]) => [name, read()]).filter(([, value]) => value !== undefined));
}

function reader(form, name, one, needed) {
  const title = one.title || name;
  if (one.enum) {
    const select = make("select");
    if (!needed || one.default === undefined) select.append(new Option("", ""));
    one.enum.forEach((value, i) => select.append(new Option(String(value), String(i))));
    if (one.default !== undefined) select.value = String(one.enum.indexOf(one.default));
    select.required = needed;
    field(form, title, select, one.description);
    return () => (select.value === "" ? undefined : one.enum[Number(select.value)]);
  }
  const input = make("input");
  if (one.type === "boolean") {
    const label = make("label", null, "check");
    input.type = "checkbox";
    input.checked = one.default === true;
    label.append(input, title);
    form.append(label);
    return () => input.checked;
  }
  const number = one.type !== "string";
  if (number) {
    input.type = "number";
    input.step = one.type === "integer" ? "1" : "any";
  }
  if (one.default !== undefined && one.default !== null) input.value = String(one.default);
  input.required = needed && number;
  field(form, title, input, one.description);
  return () => (number ? (input.value === "" ? undefined : Number(input.value)) : input.value === "" && !needed ? undefined : input.value);
}

// ---- stop ----------------------------------------------------------------------------------------

function prepareStop() {
  const dialog = $("stop-dialog");
  const problem = dialog.querySelector(".problem");
  $("stop").textContent = `Stop ${NAME}`;
  $("stop-title").textContent = `Stop workcell ${NAME}?`;
  $("stop-yes").textContent = `Stop ${NAME}`;
  $("stop").addEventListener("click", () => {
    show(problem, "");
    $("stop-by").value = kept.by;
    askForTokens();
    dialog.showModal();
    (kept.by ? $("stop-yes") : $("stop-by")).focus();
  });
  $("stop-no").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    show(problem, "");
    $("stop-yes").disabled = true;
    try {
      const by = $("stop-by").value.trim();
      kept.by = by;
      const answer = await act("/stop", { by, why: $("stop-why").value.trim() }, dialog);
      dialog.close();
      show($("said"), stopTold(answer));
    } catch (error) {
      show(problem, error.message);
    } finally {
      $("stop-yes").disabled = false;
    }
  });
}

function stopTold(answer) {
  if (answer.host === null) return `The host of ${NAME} is not running, so that nothing is sent. A host that starts now finds it stopped.`;
  const lines = [`Workcell ${NAME} is stopped: nothing more is sent to its devices.`];
  for (const one of answer.under_way) lines.push(`Under way, and comes to its end: ${one}`);
  lines.push(answer.safe ? "Its devices are safe." : "Its devices are being made safe.");
  for (const one of answer.runs) lines.push(`What was under way goes on, after a start, with: praxis run resume ${one}`);
  return lines.join("\n");
}

// ---- the stream ----------------------------------------------------------------------------------

let source = null;

function listen() {
  source = new EventSource(`${BASE}/events`);
  for (const [part, tell] of Object.entries(parts)) {
    source.addEventListener(part, (event) => {
      last.heard = Date.now();
      last.connected = true;
      tell(JSON.parse(event.data));
      stale();
    });
  }
  source.addEventListener("error", () => {
    last.connected = false;
    stale();
    // A refusal is final for the browser; it may be otherwise in a moment.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

function stale() {
  const old = !last.connected || Date.now() - last.heard > STALE_AFTER;
  show($("stale"), old ? `This page hears nothing: what it shows may be old (${$("read").textContent}). It goes on by itself; when this lasts: praxis status` : "");
}

async function start() {
  try {
    const answer = await fetch("/workcells");
    const known = await answer.json();
    if (!answer.ok) throw new Error(known.error);
    $("workcells").replaceChildren(...known.map((one) => {
      const item = make("li");
      const link = make("a", one.name);
      link.href = `/w/${encodeURIComponent(one.name)}`;
      item.append(link, ` ${one.about}`);
      return item;
    }));
  } catch (error) {
    show($("trouble"), error.message);
  }
}

if (document.body.dataset.page === "start") {
  start();
} else {
  $("name").textContent = NAME;
  document.title = NAME;
  takeToken();
  askForTokens();
  prepareStop();
  listen();
  setInterval(stale, 1000);
  window.addEventListener("hashchange", takeToken);
}
