// Puts the numbers of the chosen step where Python put those of the first one.
(() => {
  "use strict";
  const SECOND = 1000;

  function setUp(player) {
    const data = JSON.parse(player.querySelector(".player-data").textContent);
    const steps = data.values.length;
    const slider = player.querySelector("input[type=range]");
    const says = player.querySelector("output");
    const play = player.querySelector("[data-do=play]");
    const bars = player.querySelectorAll("[data-k]");
    const cells = player.querySelectorAll("td");
    const mark = player.querySelector(".player-cell > text");
    let timer = 0;

    function show(step) {
      step = Math.min(steps, Math.max(1, step));
      const values = data.values[step - 1];
      for (const bar of bars) {
        const length = values[bar.dataset.k] / bar.dataset.full;
        bar.style.transform = `scaleY(${length.toFixed(3)})`;
      }
      cells.forEach((cell, k) => { cell.textContent = values[k].toFixed(2).replace("-", "−"); });
      if (mark) mark.textContent = data.marks[step - 1];
      // The slider is read out by itself, and a film that talks would never be done.
      says.setAttribute("aria-live", timer || document.activeElement === slider ? "off" : "polite");
      says.textContent = data.says[step - 1];
      slider.value = step;
      slider.setAttribute("aria-valuetext", data.says[step - 1]);
      player.dataset.step = step;
      player.style.setProperty("--step", step);
    }

    function stop() {
      clearInterval(timer);
      timer = 0;
      play.textContent = "Play";
      play.setAttribute("aria-label", "Play");
    }

    function start() {
      play.textContent = "Pause";
      play.setAttribute("aria-label", "Pause");
      timer = setInterval(() => {
        const step = Number(player.dataset.step) + 1;
        if (step >= steps) stop();
        show(step);
      }, SECOND);
      if (slider.value >= steps) show(1);
    }

    function go(step) {
      stop();
      show(step);
    }

    slider.addEventListener("input", () => go(Number(slider.value)));
    play.addEventListener("click", () => (timer ? stop() : start()));
    for (const [name, by] of [["previous", -1], ["next", 1]]) {
      player.querySelector(`[data-do=${name}]`).addEventListener("click", () => go(Number(slider.value) + by));
    }
    player.querySelector(".player-time").addEventListener("click", (event) => {
      const strip = event.target.closest(".player-strip, .player-reads");
      if (!strip) return;
      const box = strip.getBoundingClientRect();
      go(1 + Math.floor((steps * (event.clientX - box.left)) / box.width));
    });
    for (const part of player.querySelectorAll("[hidden]")) part.hidden = false;
    player.dataset.ready = "";
  }

  document.querySelectorAll(".player:not([data-ready])").forEach(setUp);
})();
