// Shows the OpenAPI document as a page. Texts are put in as texts, never as markup.
"use strict";

function make(tag, text, ...children) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

function linked(name) {
  const link = make("a", name);
  link.href = `#${name}`;
  return link;
}

// What a value may be, in words; objects lead to where they are explained.
function kind(schema) {
  if (!schema) return make("span", "anything");
  if (schema.$ref) return linked(schema.$ref.split("/").pop());
  if (schema.anyOf) return joined(schema.anyOf.map(kind), " or ");
  if (schema.enum) return make("span", schema.enum.map((value) => `“${value}”`).join(", "));
  if (schema.const !== undefined) return make("span", `“${schema.const}”`);
  if (schema.prefixItems) return joined([make("span", "list of "), ...schema.prefixItems.map(kind)], " ");
  if (schema.type === "array") return joined([make("span", "list of"), kind(schema.items)], " ");
  const format = schema.format === "binary" ? "file" : schema.format;
  return make("span", format || schema.type || "anything");
}

function joined(parts, between) {
  const whole = make("span");
  parts.forEach((part, place) => whole.append(...(place ? [between, part] : [part])));
  return whole;
}

function limits(schema) {
  const said = [];
  if (schema.minimum !== undefined) said.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) said.push(`to ${schema.maximum}`);
  if (schema.maxLength !== undefined) said.push(`up to ${schema.maxLength} characters`);
  if (schema.default !== undefined && schema.default !== null) said.push(`default ${JSON.stringify(schema.default)}`);
  return said.join(", ");
}

function members(properties, required) {
  const table = make("table");
  table.append(make("thead", "", make("tr", "", make("th", "name"), make("th", "value"), make("th", "meaning"))));
  const body = make("tbody");
  for (const [name, schema] of Object.entries(properties)) {
    const about = [schema.description, limits(schema), required.includes(name) ? "needed" : ""].filter(Boolean);
    body.append(make("tr", "", make("td", "", make("code", name)), make("td", "", kind(schema)), make("td", about.join(" · "))));
  }
  table.append(body);
  return table;
}

function parameters(list) {
  const properties = {};
  for (const each of list) properties[each.name] = { description: `in the ${each.in}`, ...each.schema };
  return members(properties, list.filter((each) => each.required).map((each) => each.name));
}

function route(base, path, method, operation) {
  const article = make("article", "", make("h3", "", make("code", `${method.toUpperCase()} ${base}${path}`)));
  article.id = operation.operationId;
  article.append(make("p", operation.description || operation.summary));
  if (operation.parameters) article.append(parameters(operation.parameters));
  for (const [media, { schema }] of Object.entries(operation.requestBody?.content || {})) {
    article.append(make("p", "", "Body: ", make("code", media)), members(schema.properties, schema.required || []));
  }
  const answers = make("dl");
  for (const [status, answer] of Object.entries(operation.responses)) {
    const value = make("dd", answer.description);
    for (const [media, { schema }] of Object.entries(answer.content || {})) {
      value.append(make("br"), make("code", media), " ", kind(schema));
    }
    answers.append(make("dt", status), value);
  }
  article.append(answers);
  return article;
}

async function show() {
  const [openapi, problems] = await Promise.all(["openapi.json", "problems.json"].map((file) => fetch(file).then((answer) => answer.json())));
  document.getElementById("about").textContent = openapi.info.description;
  const routes = document.getElementById("routes");
  for (const [path, methods] of Object.entries(openapi.paths)) {
    for (const [method, operation] of Object.entries(methods)) routes.append(route(openapi.servers[0].url, path, method, operation));
  }
  for (const [name, meaning] of Object.entries(problems)) {
    const term = make("dt", "", make("code", name));
    term.id = name;
    document.getElementById("problems").append(term, make("dd", meaning));
  }
  for (const [name, schema] of Object.entries(openapi.components.schemas)) {
    const article = make("article", "", make("h3", name), make("p", schema.description || ""));
    article.id = name;
    if (schema.properties) article.append(members(schema.properties, schema.required || []));
    document.getElementById("schemas").append(article);
  }
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

show();
