"use strict";
(() => {
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const form = document.querySelector(".search"), q = document.getElementById("q"), told = document.getElementById("told"), none = document.getElementById("none");
  const cards = all(".card"), groups = all(".group"), parts = all(".part"), tabs = all("nav a"), selects = all("select", form);
  const words = new Map(cards.map((card) => [card, card.dataset.search]));
  document.documentElement.classList.add("scripted");

  const filter = () => {
    const asked = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = selects.filter((select) => select.value || select.selectedOptions[0].index > 0);
    let shown = 0;
    for (const card of cards) {
      const met = asked.every((word) => words.get(card).includes(word)) && chosen.every((select) =>
        select.dataset.kind === "service" ? card.dataset.service.split(" ").includes(select.value) : card.dataset[select.dataset.kind] === select.value);
      card.hidden = !met;
      shown += met;
    }
    for (const group of groups) {
      const seen = all(".card", group).filter((card) => !card.hidden);
      group.hidden = !seen.length;
      all(".card.first", group).forEach((card) => card.classList.remove("first"));
      if (seen.length) seen[0].classList.add("first");
    }
    none.hidden = shown > 0;
    told.textContent = shown === cards.length ? `${shown} features` : `${shown} of ${cards.length} features`;
  };

  const show = (part) => {
    for (const each of parts) each.classList.toggle("shown", each === part);
    for (const tab of tabs) tab.getAttribute("href") === `#${part.id}` ? tab.setAttribute("aria-current", "true") : tab.removeAttribute("aria-current");
  };

  const follow = () => {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* as it is */ }
    const target = name && document.getElementById(name);
    if (!target) { show(parts[0]); return; }
    show(target.closest(".part") || parts[0]);
    if (target.hidden) { form.reset(); filter(); }
    if (target.tagName === "DETAILS") { target.open = true; target.querySelector("summary").focus({ preventScroll: true }); }
    target.classList.contains("part") ? scrollTo(0, 0) : target.scrollIntoView({ block: "start", behavior: "instant" });
  };

  const walk = (step) => {
    const seen = cards.filter((card) => !card.hidden), at = seen.findIndex((card) => card.contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
    if (next < 0) q.focus(); else if (seen[next]) { const row = seen[next].querySelector("summary"); row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest", behavior: "instant" }); }
  };

  q.addEventListener("input", filter);
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => document.documentElement.classList.remove("scripted"));
  addEventListener("afterprint", () => document.documentElement.classList.add("scripted"));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inSelect = event.target instanceof HTMLSelectElement, typing = event.target === q, onCard = event.target instanceof Element && event.target.closest(".card > summary");
    if (event.key === "/" && !typing && !inSelect) { event.preventDefault(); show(parts[0]); q.focus(); q.select(); }
    else if (event.key === "Escape" && !inSelect) { form.reset(); show(parts[0]); q.focus(); }
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (typing || onCard)) { event.preventDefault(); walk(event.key === "ArrowDown" ? 1 : -1); }
    else if (event.key === "Enter" && typing) { event.preventDefault(); const first = cards.find((card) => !card.hidden); if (first) location.hash = first.id; }
  });
  filter();
  follow();
})();
