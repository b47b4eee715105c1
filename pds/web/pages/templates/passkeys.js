// Buttons that ask the browser for a passkey. Without scripts, or passkeys, they stay hidden.
"use strict";

const bytesOf = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));

const textOf = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const withBytes = (list) => (list ?? []).map((each) => ({ ...each, id: bytesOf(each.id) }));

const ask = {
  get: (options) => navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytesOf(options.challenge),
      allowCredentials: withBytes(options.allowCredentials),
    },
  }),
  create: (options) => navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytesOf(options.challenge),
      user: { ...options.user, id: bytesOf(options.user.id) },
      excludeCredentials: withBytes(options.excludeCredentials),
    },
  }),
};

const answerOf = (credential) => {
  const { response } = credential;
  const parts = { clientDataJSON: textOf(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) parts[name] = textOf(response[name]);
  }
  if (response.getTransports) parts.transports = response.getTransports();
  const id = textOf(credential.rawId);
  return JSON.stringify({
    id, rawId: id, type: credential.type, response: parts, clientExtensionResults: {},
  });
};

const prepare = (button) => {
  const { form } = button;
  const problem = form.querySelector("[data-passkey-problem]");
  const kind = button.dataset.passkey;
  (button.closest("[data-passkey-form]") ?? button).hidden = false;
  button.addEventListener("click", async (event) => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    try {
      const credential = await ask[kind](JSON.parse(button.dataset.options));
      form.elements.answer.value = answerOf(credential);
      button.disabled = false;
      form.requestSubmit(button);
    } catch {
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
};

if (window.PublicKeyCredential) document.querySelectorAll("[data-passkey]").forEach(prepare);
