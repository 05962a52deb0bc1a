"""The report's style, for screen and print; it names no font or picture from elsewhere."""

STYLESHEET = """
:root { --ink: #1d2730; --quiet: #5a6672; --line: #d9dee3; --wash: #f5f7f9; --lead: #1b5e9b;
  --warn: #8a3b12; color-scheme: light; }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.4rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: #fff; line-height: 1.5;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, "Liberation Sans", sans-serif;
  overflow-wrap: break-word; }
header, main, footer { max-width: 74rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2rem; padding-bottom: .6rem; }
header p { max-width: none; margin: .15rem 0; color: var(--quiet); }
h1 { margin: 0 0 .3rem; font-size: 1.75rem; line-height: 1.2; font-weight: 650; }
h2 { margin: 0 0 .7rem; font-size: 1.3rem; font-weight: 650; }
h3 { margin: 0 0 .5rem; font-size: 1.05rem; font-weight: 650; }
h4 { margin: .8rem 0 .2rem; font-size: .9rem; font-weight: 650; color: var(--quiet); }
p { margin: .4rem 0 .9rem; max-width: 68ch; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
nav { position: sticky; top: 0; z-index: 1; background: #fff; border: solid var(--line);
  border-width: 1px 0; overflow-x: auto; white-space: nowrap; padding: .5rem 1.5rem;
  display: flex; gap: 1.25rem; justify-content: safe center; font-size: .9rem; }
nav a { color: var(--lead); text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
section { padding: 2rem 0 1.4rem; border-bottom: 1px solid var(--line); }
section:last-child { border-bottom: 0; }
.summary { font-size: 1.15rem; max-width: 62rem; }
.hint, figcaption, .note, .interval, .part { color: var(--quiet); }
.hint, figcaption { font-size: .875rem; }
.badge { display: inline-block; margin-right: .6rem; padding: .05rem .5rem; border-radius: 3px;
  background: var(--warn); color: #fff; letter-spacing: .06em; font-size: .85rem; }
header .simulated { color: var(--warn); font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  margin: 1.2rem 0 1.5rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--wash); }
.facts div { display: flex; flex-direction: column-reverse; justify-content: flex-end;
  padding: .7rem .9rem; }
.facts dt { font-size: .85rem; color: var(--quiet); line-height: 1.3; }
.facts dd { margin: 0; font-size: 1.3rem; font-weight: 600; }
.figure, td.number, th.number { font-variant-numeric: tabular-nums; }
.moment { white-space: nowrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .3rem 0 .8rem; }
th, td { padding: .42rem .7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: .4rem; }
thead th { vertical-align: bottom; font-size: .85rem; line-height: 1.3; color: var(--quiet);
  font-weight: 600; border-bottom: 1.5px solid var(--quiet); }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; overflow-wrap: normal; }
thead .number { white-space: normal; }
.interval { font-size: .9em; }
.group th { padding-top: 1rem; font-size: .85rem; font-weight: 600; color: var(--quiet);
  border-bottom: 1px solid var(--line); }
.lead th .name, .lead td { font-weight: 650; }
.lead .interval, .lead .note { font-weight: 400; }
.total th, .total td { background: var(--wash); font-weight: 600; }
.models { min-width: 60rem; }
.models tbody th:first-child { min-width: 15rem; }
.giveaways { min-width: 62rem; }
.giveaways th:first-child { width: 17rem; }
.giveaways td:nth-child(5) { white-space: nowrap; }
.giveaways td:last-child { width: 11rem; }
.giveaways .name { font-weight: 650; }
.gist { display: block; margin: .15rem 0 0 calc(22px + .5rem); font-weight: 400; }
.line { display: block; }
.share { font-size: 1.15rem; font-weight: 650; margin-right: .4rem; }
.narrow { max-width: 46rem; }
.name { display: flex; align-items: center; }
.note { display: block; margin-left: calc(22px + .5rem); }
.note { font-size: .85rem; font-weight: 400; line-height: 1.35; }
.swatch { flex: none; width: 22px; height: 10px; margin-right: .5rem; vertical-align: middle; }
.strip { display: block; width: 150px; height: 18px; margin-top: .15rem; }
.from { float: left; } .to { float: right; }
.from, .to { font-weight: 400; }
.models thead th:nth-child(3) { width: 164px; text-align: center; }
.compact th, .compact td { padding-top: .25rem; padding-bottom: .25rem; }
.bars td:nth-child(2) { width: 40%; vertical-align: middle; }
.bar { display: block; height: .7rem; background: var(--wash); }
.bar span { display: block; height: 100%; background: var(--lead); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr));
  gap: 1.5rem 2.5rem; align-items: start; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.2rem; align-items: start; margin-bottom: 1rem; }
article { border: 1px solid var(--line); border-radius: 4px; padding: 1rem 1.2rem .6rem;
  min-width: 0; }
.pair > *, .cards > * { min-width: 0; }
.part { margin-left: .6rem; font-size: .85rem; font-weight: 400; }
ul { margin: .2rem 0 .7rem; padding-left: 1.15rem; }
li { margin: .2rem 0; }
.shapes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
  gap: 1.5rem; }
figure { margin: 0 0 .8rem; }
figure > svg { display: block; width: 100%; height: auto; max-height: 30rem; }
figcaption { margin-top: .3rem; max-width: 62ch; }
.title { margin: 0 0 .3rem; font-weight: 600; color: var(--ink); font-size: 1rem; }
.axis { margin: 0; text-align: center; font-size: .85rem; }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.2rem; margin: 0 0 .4rem;
  font-size: .875rem; min-height: 1.4rem; }
.legend span { display: inline-flex; align-items: center; }
.legend i { width: .8rem; height: .8rem; margin-right: .45rem; border-radius: 2px; }
.glossary { columns: 2 24rem; column-gap: 2.5rem; margin: 0; }
.glossary div { break-inside: avoid; margin-bottom: .8rem; }
.glossary dt { font-weight: 600; }
.glossary dd { margin: 0; font-size: .92rem; }
footer { padding-top: .5rem; padding-bottom: 2rem; font-size: .85rem; color: var(--quiet); }
footer p { max-width: none; }
@media (max-width: 48rem) {
  header, main, footer { padding-left: 1rem; padding-right: 1rem; }
  nav { padding-left: 1rem; }
  .summary { font-size: 1.05rem; }
  .models { min-width: 50rem; }
  .models tbody th:first-child { min-width: 9rem; }
  .note { margin-left: 0; }
}
@media print {
  @page { size: A4; margin: 14mm 13mm; }
  html { font-size: 13px; }
  body { font-size: 10pt; }
  nav { display: none; }
  header, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  section { padding: 1rem 0 .6rem; }
  h2, h3, h4, section > h2 + p { break-after: avoid; }
  p, li, figure, article, tr, .facts { break-inside: avoid; }
  .bars td:nth-child(2) { width: 28%; }
  .facts { grid-template-columns: repeat(6, 1fr); }
  .facts div { padding: .5rem; }
  .wide { overflow: visible; break-inside: avoid; }
  table { font-size: 8pt; }
  thead th, .interval, .note { font-size: 7.5pt; }
  .compact th, .compact td { padding-left: .25rem; padding-right: .25rem; }
  .models { min-width: 0; }
  .models th, .models td { padding-left: .2rem; padding-right: .2rem; font-size: 7.5pt; }
  .models tbody th:first-child { min-width: 0; }
  .models .interval { display: block; }
  .models thead th:nth-child(3), .strip { width: 95px; }
  .giveaways { min-width: 0; }
  .giveaways th:first-child { width: 25%; }
  .giveaways td:nth-child(5) { white-space: normal; }
  .giveaways td:last-child { width: 16%; }
  .pair, .cards { grid-template-columns: 1fr 1fr; gap: .8rem 1.2rem; }
  .shapes { grid-template-columns: 1fr 1fr 1fr; gap: .8rem; }
  .glossary { columns: 2; }
  .bar span, .badge, .facts, .total th, .total td, .legend i { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
}
"""
