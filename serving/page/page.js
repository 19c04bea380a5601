// The page's one script: it fills the form from what the service says it can make, sends it, shows what comes back.

const element = (id) => document.getElementById(id);
const facts = await (await fetch("/page/facts.json")).json();
const DRAWN = ["person", "garment"]; // what the closet has at hand
const chosen = {}; // input's name -> what is shown as chosen: {address} of the closet's, {blob} of one's own, or {text}
let task = facts.tasks[0];
let suggested = ""; // what stands as prompt that nobody wrote
let running = null; // what is being made, so that it can be cancelled: {controller, headers, job}
const CALLED = { person: "Person", garment: "Garment", pose: "Pose", pose_map: "Pose and clothes" };
const LOST_AFTER = 30; // times in a row that a job is not answered for, a second apart

function say(text, bad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", bad);
}

function node(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Chosen and shown in one go. The picture is a new one each time: an old one would stay until the next has come.
function take(input, name, source, address) {
  chosen[input] = { ...source, name };
  const old = element(`chosen-${input}`);
  if (old.src.startsWith("blob:")) URL.revokeObjectURL(old.src);
  const shown = node("img", { id: old.id, alt: old.alt, src: address });
  shown.addEventListener("error", () => { // keypoints are no picture; anything else should be one
    shown.replaceWith(node("img", { id: old.id, alt: "" }));
    if (source.blob && source.blob.type !== "application/json") say(`${name} cannot be shown: it may be no picture.`, true);
  });
  old.replaceWith(shown);
  element(`name-${input}`).textContent = name;
  if (!source.blob) element(`file-${input}`).value = ""; // so that the same file can be chosen again
}

function takeDrawn(input, number) {
  const address = `/closet/${input}/${number}.jpg`;
  take(input, `closet ${input} ${number + 1}`, { address }, address);
}

// What is sent for a choice. The closet's file is fetched only now: no earlier choice can come late and replace it.
async function contentOf(input, { address, blob, text, name }, signal) {
  if (!address) return blob ?? text;
  try {
    const answer = await fetch(address, { signal });
    if (answer.ok) return await answer.blob();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  throw new Refused({ detail: `${input}: ${name} could not be fetched. Try again, or choose another.` });
}

// What the figures of an input's maps wear; poses alone are shown in a T-shirt and trousers.
function outfitOf(input) {
  return facts.outfits[element(`outfit-${input}`)?.selectedIndex ?? 0];
}

function inClothes(input, pose) {
  const outfit = outfitOf(input).name;
  return outfit ? `${pose}_${outfit}` : pose;
}

function takePose(input, pose) {
  const text = inClothes(input, pose);
  take(input, text.replaceAll("_", " "), { text }, `/closet/pose/${text}.png`);
}

// The same poses in other clothes: words change only what the map shows.
function outfitField(input) {
  const options = facts.outfits.map(({ name, says }) => node("option", { value: name, textContent: says }));
  const select = node("select", { id: `outfit-${input}` }, ...options);
  select.addEventListener("change", () => {
    for (const radio of document.querySelectorAll(`input[name="closet-${input}"]`)) {
      radio.nextElementSibling.src = `/closet/pose/${inClothes(input, radio.value)}.png`;
      if (radio.checked) takePose(input, radio.value);
    }
    suggest(outfitOf(input).prompt);
  });
  return node("label", { className: "line" }, "Clothes", select);
}

// A sentence to begin with, until somebody writes another.
function suggest(prompt) {
  const field = element("prompt");
  if (field.value === "" || field.value === suggested) field.value = suggested = prompt;
}

function choice(group, value, label, address, checked, take) {
  const radio = node("input", { type: "radio", name: group, value, ariaLabel: label, checked });
  radio.addEventListener("change", take);
  return node("label", { title: label }, radio, node("img", { src: address, alt: "", loading: "lazy" }));
}

function takeFile(input, types, file) {
  if (!file) return;
  if (!types.includes(file.type)) {
    say(`${input}: ${file.name} is ${file.type || "of an unknown type"}; must be ${types.map((type) => type.split("/")[1]).join(", ")}.`, true);
  } else if (file.size > facts.maxBytes) {
    say(`${input}: ${file.name} has ${Math.ceil(file.size / 2 ** 20)} MB; must have at most ${facts.maxBytes / 2 ** 20}.`, true);
  } else {
    for (const radio of document.querySelectorAll(`input[name="closet-${input}"]`)) radio.checked = false;
    take(input, file.name, { blob: file }, URL.createObjectURL(file));
    say("");
  }
}

function inputField({ name: input, kind, hasNames, hasOutfits }) {
  const set = node("fieldset", {}, node("legend", { textContent: CALLED[input] ?? input.replaceAll("_", " ") }));
  const types = kind === "pose" ? [...facts.formats, "application/json"] : facts.formats;
  const file = node("input", { type: "file", accept: types.join(","), id: `file-${input}` });
  file.addEventListener("change", () => takeFile(input, types, file.files[0]));
  set.append(
    node("div", { className: "chosen" },
      node("img", { id: `chosen-${input}`, alt: `the chosen ${input.replaceAll("_", " ")}` }),
      node("div", { className: "what" },
        node("div", { id: `name-${input}`, textContent: "nothing chosen yet" }),
        node("label", { className: "drop" }, "Upload your own", file))));
  const closet = node("div", { className: "closet", role: "radiogroup", ariaLabel: `${input} from the closet` });
  const group = `closet-${input}`;
  if (DRAWN.includes(input)) {
    for (let number = 0; number < facts.numDrawn; number++) {
      const address = `/closet/${input}/${number}.jpg`;
      closet.append(choice(group, number, `${input} ${number + 1}`, address, number === 0, () => takeDrawn(input, number)));
    }
  }
  if (hasNames) {
    facts.poses.forEach((name, number) => closet.append(
      choice(group, name, name.replaceAll("_", " "), `/closet/pose/${name}.png`, number === 0, () => takePose(input, name))));
  }
  if (hasOutfits) set.append(outfitField(input));
  if (closet.children.length) set.append(closet);
  set.addEventListener("dragover", (event) => { event.preventDefault(); set.classList.add("over"); });
  set.addEventListener("dragleave", () => set.classList.remove("over"));
  set.addEventListener("drop", (event) => {
    event.preventDefault();
    set.classList.remove("over");
    takeFile(input, types, event.dataTransfer.files[0]);
  });
  return set;
}

function takeFirst({ name: input, hasNames }) {
  if (DRAWN.includes(input)) takeDrawn(input, 0);
  if (hasNames) takePose(input, facts.poses[0]);
}

// The task's models where there are several that take what the form has; the service's first unless one was chosen.
function showModels() {
  const before = element("model").value;
  const inputs = task.inputs.map((input) => input.name);
  const offered = task.models.filter((one) => (
    one.inputs.length === inputs.length && one.inputs.every((input) => inputs.includes(input))));
  element("model").replaceChildren(...offered.map(({ name }) => node("option", {
    value: name, textContent: name, selected: name === before })));
  element("model-row").hidden = offered.length < 2;
}

// Those of the chosen model: its own is chosen.
function showModes() {
  const { modes, mode } = task.models.find((one) => one.name === element("model").value);
  element("mode-row").hidden = !modes.length;
  element("samples").title = littleByChance();
  element("mode").replaceChildren(...modes.map((name) => node("option", {
    value: name, textContent: name, selected: name === mode })));
}

// Of the chosen model, where that is so.
function littleByChance() {
  const { name, modes } = task.models.find((one) => one.name === element("model").value);
  return modes.length ? "" : `${name} draws little by chance: its pictures of several seeds hardly differ`;
}

function keyGiven() {
  return element("key").value.trim();
}

function withKey(headers = {}) {
  return facts.needsKey ? { ...headers, Authorization: `Bearer ${keyGiven()}` } : headers;
}

// Said below the form, as everything is, and at the field, which may be a screen away.
function askForKey(why, here) {
  say(`${why} into the field “API key” at the top of the page.`, true);
  element("key-says").textContent = here;
  element("key-says").hidden = false;
  element("key").ariaInvalid = "true";
  element("key").focus();
}

function forgetKeyAsked() {
  if (!element("key-says").hidden) say("");
  element("key-says").hidden = true;
  element("key").ariaInvalid = null;
}

function showTask() {
  for (const input of Object.keys(chosen)) delete chosen[input];
  const way = task.hasPrompt ? "write one, and choose the pose and the clothes" : "choose from the closet, or bring pictures of your own";
  element("summary").textContent = `${task.summary}: ${way}.`;
  element("inputs").replaceChildren(...task.inputs.map(inputField));
  task.inputs.forEach(takeFirst);
  element("prompt-row").hidden = !task.hasPrompt;
  suggest(facts.outfits[0].prompt);
  showModels();
  showModes();
}

function pictureOf(sample) {
  if (sample.blob) return URL.createObjectURL(sample.blob);
  const bytes = Uint8Array.from(atob(sample.picture), (character) => character.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: sample.media_type }));
}

function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

// A frame for each picture that was asked for: what is coming of it, how far it is, and that in words.
function showComing(count) {
  element("coming").replaceChildren(...Array.from({ length: count }, (_, number) => node("figure", {},
    node("div", { className: "frame" }, node("img", { hidden: true, alt: `picture ${number + 1} as it is coming` })),
    node("progress", { max: 1, ariaLabel: `picture ${number + 1}` }),
    node("figcaption", { textContent: "waiting" }))));
  element("coming-title").textContent = `Being made: ${task.summary[0].toLowerCase()}${task.summary.slice(1)}`;
  element("coming-section").hidden = false;
  element("coming-section").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

function tellComing(number, text, share) {
  const figure = element("coming").children[number];
  figure.querySelector("figcaption").textContent = text;
  const bar = figure.querySelector("progress");
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
}

function showStep(job) {
  const { step, num_steps: steps, samples, left_s: left } = job.progress;
  const loop = step ? `step ${step} of ${steps}` : "beginning";
  for (const number of samples) tellComing(number, left >= 1 ? `${loop}, ${Math.ceil(left)} s left` : loop, step / steps);
  // Samples are made in their order: those before have all their steps.
  for (let number = 0; number < Math.min(...samples); number++) tellComing(number, "made", 1);
}

function showPartial({ sample, picture }) {
  const shown = element("coming").children[sample].querySelector("img");
  shown.src = picture;
  shown.hidden = false;
}

// `of` says what the pictures were made of, for the form may say something else by then.
function show(result, of) {
  const made = result.samples.map((sample, number) => {
    const address = pictureOf(sample);
    const name = `atelier-${sample.seed}.${sample.media_type.split("/")[1].replace("jpeg", "jpg")}`;
    const lines = [`seed ${sample.seed}`, ...sample.notes.map((note) => note.replace(/^[a-z_]+: /, ""))];
    return node("figure", {},
      node("img", { src: address, alt: `picture ${number + 1}, seed ${sample.seed}`, width: sample.width, height: sample.height }),
      node("figcaption", {}, ...lines.map((line) => node("p", { textContent: line })),
        node("a", { href: address, download: name, textContent: "Download" })));
  });
  for (const old of element("made").querySelectorAll("img")) URL.revokeObjectURL(old.src);
  element("made").replaceChildren(...made);
  element("made-of").textContent = of.join(" · ");
  element("made-section").hidden = false;
  element("made-section").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

// All that is asked for is read at once, before anything is waited for: what the page shows when Make is pressed.
async function make() {
  if (facts.needsKey && !keyGiven()) return askForKey("Making needs a key: put yours", "Put your key here.");
  const asked = task;
  const absent = asked.inputs.map((input) => input.name).filter((input) => !chosen[input]);
  if (absent.length) return say(`${absent.join(" and ")}: choose or upload a picture.`, true);
  if (asked.hasPrompt && !element("prompt").value.trim()) return say("Prompt: write what the person looks like and wears.", true);
  const seed = element("seed").value.trim();
  if (!/^[0-9]*$/.test(seed)) return say("seed: must be a whole number, or empty for one that is drawn.", true);
  const hint = element("samples").value > 1 ? littleByChance() : "";
  const choices = asked.inputs.map(({ name }) => [name, chosen[name]]);
  const body = new FormData();
  if (seed) body.append("seed", seed);
  body.append("num_samples", element("samples").value);
  body.append("output_format", element("format").value);
  if (!element("model-row").hidden) body.append("model", element("model").value);
  if (!element("mode-row").hidden) body.append("mode", element("mode").value);
  const prompt = element("prompt").value.replace(/\s+/g, " ").trim();
  if (asked.hasPrompt && prompt) body.append("prompt", prompt);
  const headers = withKey({ Accept: "application/json" });
  const controller = new AbortController();
  running = { controller, headers, job: null };
  const byButton = document.activeElement === element("make");
  element("make").disabled = true;
  element("cancel").hidden = false;
  if (byButton) element("cancel").focus(); // a button that is disabled loses it to nothing
  const started = performance.now();
  showComing(Number(element("samples").value));
  say("Making…");
  try {
    const contents = await Promise.all(choices.map(([input, choice]) => contentOf(input, choice, controller.signal)));
    choices.forEach(([input], number) => {
      const content = contents[number];
      if (content instanceof Blob) body.append(input, content, input);
      else body.append(input, content);
    });
    const result = await asJob(asked, body, headers, controller.signal);
    const words = choices.map(([, choice]) => choice.name);
    show(result, [...words, asked.hasPrompt ? `“${prompt}”` : "", hint].filter(Boolean));
    say(`Made in ${((performance.now() - started) / 1000).toFixed(1)} s by ${result.recipe}${result.mode ? `, ${result.mode}` : ""}.`);
  } catch (error) {
    if (error.name === "AbortError") say("Cancelled.");
    else if (error.code === "key_unknown") askForKey("The key is unknown, wrong or expired: put another", "Put another key here.");
    else say(error instanceof Refused ? error.message : "The service did not answer.", true);
  } finally {
    forget();
    running = null;
    element("coming-section").hidden = true;
    element("make").disabled = false;
    if (document.activeElement === element("cancel")) element("make").focus();
    element("cancel").hidden = true;
  }
}

// Of another task: nothing of it could be compared with what is asked for now.
function forgetMade() {
  if (running) return;
  element("made-section").hidden = true;
  say("");
}

class Refused extends Error {
  constructor(problem, again) {
    super(`${problem.detail}${again ? ` Try again in ${again} s.` : ""}`);
    this.code = problem.code;
  }
}

async function answered(answer) {
  const said = await answer.json();
  if (!answer.ok) throw new Refused(said, answer.headers.get("Retry-After"));
  return said;
}

// Asked for as a job, since a job tells its steps; a key that may not do so waits for the pictures themselves.
async function asJob(asked, body, headers, signal) {
  const whole = new FormData();
  for (const [name, value] of body.entries()) whole.append(name, value);
  whole.append("task", asked.name);
  let job;
  try {
    // Not to be broken off: a job that was taken in must be known, to be cancelled.
    job = await answered(await fetch("/v1/jobs?pictures=true", { method: "POST", body: whole, headers }));
  } catch (error) {
    signal.throwIfAborted();
    if (error.code !== "scope_missing") throw error;
    return answered(await fetch(asked.path, { method: "POST", body, headers, signal }));
  }
  running.job = job.id;
  signal.throwIfAborted();
  job = await ended(job, headers, signal);
  if (job.state === "failed") throw new Refused(job.problem);
  if (job.state !== "succeeded") throw new DOMException("somebody else cancelled it", "AbortError");
  for (const sample of job.result.samples) {
    const answer = await fetch(sample.url, { headers, signal });
    if (!answer.ok) await answered(answer);
    sample.blob = await answer.blob();
  }
  return job.result;
}

// The job once it has ended; a line that breaks is taken up again, for the job goes on.
async function ended(job, headers, signal) {
  let began = null;
  const clock = setInterval(() => {
    if (job.state !== "running" || job.progress) return;
    began ??= performance.now();
    const seconds = Math.round((performance.now() - began) / 1000);
    for (let number = 0; number < element("coming").children.length; number++) tellComing(number, `making, ${seconds} s`);
  }, 1000);
  try {
    for (let lost = 0; lost < LOST_AFTER; lost++) {
      try {
        const answer = await fetch(`/v1/jobs/${job.id}/events?pictures=true`, { headers, signal });
        if (!answer.ok) await answered(answer);
        for await (const [name, said] of eventsOf(answer.body)) {
          lost = 0;
          if (name === "problem") throw new Refused(said);
          if (name === "picture") showPartial(said);
          if (name !== "job") continue;
          job = said;
          if (job.progress) showStep(job);
          if (job.state === "queued" && job.position) say(`Waiting: ${job.position} before this one.`);
          if (job.state === "running") say("Making…");
          if (job.state !== "queued" && job.state !== "running") return job;
        }
      } catch (error) {
        if (error.name === "AbortError" || error instanceof Refused) throw error;
      }
      await pause(1000);
    }
    throw new Error("lost");
  } finally {
    clearInterval(clock);
  }
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const of = (field) => lines.find((line) => line.startsWith(`${field}: `))?.slice(field.length + 2);
      if (of("data")) yield [of("event"), JSON.parse(of("data"))];
    }
  }
}

// Cancels the job, or deletes it when its pictures are here: the service keeps nothing of this page's.
function forget() {
  if (!running?.job) return;
  fetch(`/v1/jobs/${running.job}`, { method: "DELETE", headers: running.headers, keepalive: true }).catch(() => {});
  running.job = null;
}

for (const one of facts.tasks) element("task").append(node("option", { value: one.name, textContent: one.summary }));
for (let count = 1; count <= facts.maxSamples; count++) {
  element("samples").append(node("option", { value: count, textContent: count, selected: count === Math.min(2, facts.maxSamples) }));
}
element("task-row").hidden = facts.tasks.length < 2;
element("key-row").hidden = !facts.needsKey;
element("key").value = sessionStorage.getItem("key") ?? "";
element("key").addEventListener("input", forgetKeyAsked);
element("key").addEventListener("change", () => { sessionStorage.setItem("key", keyGiven()); });
element("task").addEventListener("change", () => { task = facts.tasks[element("task").selectedIndex]; showTask(); forgetMade(); });
element("model").addEventListener("change", () => showModes());
element("dice").addEventListener("click", () => { element("seed").value = Math.floor(Math.random() * 2 ** 31); });
element("cancel").addEventListener("click", () => { say("Cancelling…"); running?.controller.abort(); });
element("prompt").addEventListener("keydown", (event) => { // as in a field of one line
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  if (!element("make").disabled) element("form").requestSubmit();
});
addEventListener("pagehide", forget);
element("form").addEventListener("submit", (event) => { event.preventDefault(); make(); });
showTask();
