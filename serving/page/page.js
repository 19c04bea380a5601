// The page's one script: it fills the form from what the service says it can make, sends it, shows what comes back.

const element = (id) => document.getElementById(id);
const facts = await (await fetch("/page/facts.json")).json();
const DRAWN = ["person", "garment"]; // what the closet has at hand
const chosen = {}; // input's name -> {blob, name}
let task = facts.tasks[0];
let running = null; // the request on its way, so that it can be cancelled

function say(text, bad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", bad);
}

function node(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function showChosen(input, blob, name) {
  chosen[input] = { blob, name };
  const picture = element(`chosen-${input}`);
  if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(blob);
  element(`name-${input}`).textContent = name;
}

async function takeDrawn(input, number) {
  const answer = await fetch(`/closet/${input}/${number}.jpg`);
  if (answer.ok) showChosen(input, await answer.blob(), `closet ${input} ${number + 1}`);
}

function takePose(input, name) {
  const picture = element(`chosen-${input}`);
  if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
  picture.src = `/closet/pose/${name}.png`;
  chosen[input] = { text: name };
  element(`name-${input}`).textContent = name.replaceAll("_", " ");
}

function choice(group, label, address, checked, take) {
  const radio = node("input", { type: "radio", name: group, ariaLabel: label, checked });
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
    showChosen(input, file, file.name);
    say("");
  }
}

function inputField({ name: input, kind, hasNames }) {
  const set = node("fieldset", {}, node("legend", { textContent: input.replaceAll("_", " ") }));
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
      closet.append(choice(group, `${input} ${number + 1}`, address, number === 0, () => takeDrawn(input, number)));
    }
    takeDrawn(input, 0);
  }
  if (hasNames) {
    facts.poses.forEach((name, number) => closet.append(
      choice(group, name.replaceAll("_", " "), `/closet/pose/${name}.png`, number === 0, () => takePose(input, name))));
    queueMicrotask(() => takePose(input, facts.poses[0])); // once the field is on the page
  }
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

function showTask() {
  for (const input of Object.keys(chosen)) delete chosen[input];
  element("summary").textContent = `${task.summary}: choose from the closet, or bring pictures of your own.`;
  element("inputs").replaceChildren(...task.inputs.map(inputField));
  element("prompt-row").hidden = !task.hasPrompt;
}

function pictureOf(sample) {
  const bytes = Uint8Array.from(atob(sample.picture), (character) => character.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: sample.media_type }));
}

function show(result) {
  const made = result.samples.map((sample, number) => {
    const address = pictureOf(sample);
    const name = `atelier-${sample.seed}.${sample.media_type.split("/")[1].replace("jpeg", "jpg")}`;
    const lines = [`seed ${sample.seed}`, ...sample.notes];
    return node("figure", {},
      node("img", { src: address, alt: `picture ${number + 1}, seed ${sample.seed}`, width: sample.width, height: sample.height }),
      node("figcaption", {}, ...lines.flatMap((line) => [line, node("br")]),
        node("a", { href: address, download: name, textContent: "Download" })));
  });
  for (const old of element("made").querySelectorAll("img")) URL.revokeObjectURL(old.src);
  element("made").replaceChildren(...made);
  element("made-section").hidden = false;
  element("made-section").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

async function make() {
  const absent = task.inputs.map((input) => input.name).filter((input) => !chosen[input]);
  if (absent.length) return say(`${absent.join(" and ")}: choose or upload a picture.`, true);
  const seed = element("seed").value.trim();
  if (!/^[0-9]*$/.test(seed)) return say("seed: must be a whole number, or empty for one that is drawn.", true);
  const body = new FormData();
  for (const { name } of task.inputs) {
    if (chosen[name].blob) body.append(name, chosen[name].blob, name);
    else body.append(name, chosen[name].text);
  }
  if (seed) body.append("seed", seed);
  body.append("num_samples", element("samples").value);
  body.append("output_format", element("format").value);
  if (task.hasPrompt && element("prompt").value) body.append("prompt", element("prompt").value);
  const headers = { Accept: "application/json" };
  if (facts.needsKey) headers.Authorization = `Bearer ${element("key").value.trim()}`;
  running = new AbortController();
  element("make").disabled = true;
  element("cancel").hidden = false;
  const started = performance.now();
  const clock = setInterval(() => say(`Making… ${Math.round((performance.now() - started) / 1000)} s`), 1000);
  say("Making…");
  try {
    const answer = await fetch(task.path, { method: "POST", body, headers, signal: running.signal });
    const result = await answer.json();
    if (answer.ok) {
      show(result);
      say(`Made in ${((performance.now() - started) / 1000).toFixed(1)} s by ${result.recipe}.`);
    } else {
      const again = answer.headers.get("Retry-After");
      say(`${result.detail}${again ? ` Try again in ${again} s.` : ""}`, true);
    }
  } catch (error) {
    say(error.name === "AbortError" ? "Cancelled." : "The service did not answer.", error.name !== "AbortError");
  } finally {
    clearInterval(clock);
    running = null;
    element("make").disabled = false;
    element("cancel").hidden = true;
  }
}

for (const one of facts.tasks) element("task").append(node("option", { value: one.name, textContent: one.summary }));
for (let count = 1; count <= facts.maxSamples; count++) {
  element("samples").append(node("option", { value: count, textContent: count, selected: count === Math.min(2, facts.maxSamples) }));
}
element("task-row").hidden = facts.tasks.length < 2;
element("key-row").hidden = !facts.needsKey;
element("key").value = sessionStorage.getItem("key") ?? "";
element("key").addEventListener("change", () => sessionStorage.setItem("key", element("key").value.trim()));
element("task").addEventListener("change", () => { task = facts.tasks[element("task").selectedIndex]; showTask(); });
element("dice").addEventListener("click", () => { element("seed").value = Math.floor(Math.random() * 2 ** 31); });
element("cancel").addEventListener("click", () => running?.abort());
element("form").addEventListener("submit", (event) => { event.preventDefault(); make(); });
showTask();
