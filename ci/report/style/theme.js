"use strict";
(() => {
  // The choice lasts where the browser keeps it; from a file, some do not.
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("lamplighter-theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("lamplighter-theme", theme); } catch { /* not kept */ } };
  const set = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  set(kept());
  document.addEventListener("DOMContentLoaded", () => {
    const choice = document.getElementById("theme");
    if (!choice) return;
    choice.value = root.dataset.theme || "system";
    choice.closest("[hidden]")?.removeAttribute("hidden");
    choice.addEventListener("change", () => { set(choice.value); keep(choice.value); });
  });
})();
