"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = {
    responsive: true,
    displaylogo: false,
    // A finger cannot hover, and the buttons would cover the legend.
    displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  // The colours that depend on the page's, as the style sheet has them now.
  function theme() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: colour("--grid"), zerolinecolor: colour("--grid"), linecolor: colour("--line"), automargin: true };
    return { ink: colour("--ink"), soft: colour("--soft"), card: colour("--card"), axis };
  }

  function themed(layout) {
    const { ink, soft, card, axis } = theme();
    const titled = (own) => ({ ...own, ...axis, title: { ...own.title, standoff: 10 } });
    return {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 13, color: ink },
      hoverlabel: { bgcolor: card, font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink },
      annotations: layout.annotations.map((note) => ({ ...note, bgcolor: card, borderpad: 2 })),
      xaxis: { ...titled(layout.xaxis), showline: true },
      yaxis: titled(layout.yaxis),
    };
  }

  function draw(figure) {
    const { data, layout } = JSON.parse(document.getElementById(figure.id + "-spec").textContent);
    Plotly.react(figure, data, themed(layout), config);
    figure.dataset.drawn = "yes";
  }

  function drawOpen() {
    for (const figure of document.querySelectorAll("details[open] .plot")) {
      if (!figure.dataset.drawn) draw(figure);
    }
  }

  for (const details of document.querySelectorAll("details.figures")) {
    details.addEventListener("toggle", drawOpen);
  }
  dark.addEventListener("change", () => {
    for (const figure of document.querySelectorAll(".plot[data-drawn]")) draw(figure);
  });
  drawOpen();
})();
