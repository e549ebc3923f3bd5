// The page works without this: it brings what stands around a passage into the list, / to the query box, and short
// addresses.
"use strict";

document.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!details.open || !details.dataset.around || details.dataset.loaded) return;
  details.dataset.loaded = "yes";
  const place = details.querySelector(".loaded");
  try {
    const answer = await fetch(details.dataset.around, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.replaceChildren(...found.body.childNodes);
  } catch {
    delete details.dataset.loaded; // the link to the document stays
  }
}, true);

document.addEventListener("keydown", (event) => {
  const box = document.getElementById("q");
  const writes = /^(input|select|textarea)$/i.test(event.target.tagName);
  if (event.key !== "/" || !box || writes || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// Fields that are empty stand in no address that is passed on.
document.querySelector("form.ask")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (!value) event.formData.delete(name);
  }
});
