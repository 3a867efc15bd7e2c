// SPDX-License-Identifier: GPL-2.0-or-later
// Filters the matrix. The page is whole without it: the cells are made again here
// only for some of the devices and flavours. The filters are kept in the address.
"use strict";

(function () {
	const data = JSON.parse(document.getElementById("data").textContent);
	const form = document.getElementById("filters");
	const shown = document.getElementById("shown");
	const NAMES = ["text", "interface", "device", "flavour", "outcome"];
	const inputs = NAMES.map((name) => document.getElementById(name));
	const letters = Object.keys(data.words); // the worst first
	const groups = [...document.querySelectorAll("tbody[data-interface]")];
	const rows = [...document.querySelectorAll("tr[data-row]")].map((element) => ({
		element,
		items: data.rows[Number(element.dataset.row)],
		cells: [...element.querySelectorAll("td")],
		text: element.querySelector("th").textContent.toLowerCase(),
		group: element.parentElement,
	}));

	function letterOf(word) {
		return letters.find((letter) => data.words[letter] === word);
	}

	// What the items were on each kernel: [worst letter, how many, changed, all].
	function cellsOf(items) {
		const last = new Map();
		let shown = "";
		return data.letters.map((column) => {
			const had = {};
			let changed = false;
			for (const item of items) {
				const letter = column[item];
				had[letter] = (had[letter] || 0) + 1;
				if (".ls".includes(letter))
					continue;
				changed ||= last.has(item) && last.get(item) !== letter;
				last.set(item, letter);
			}
			const worst = letters.find((letter) => had[letter]) || ".";
			if (!".l".includes(worst)) {
				changed ||= shown !== "" && shown !== worst;
				shown = worst;
			}
			return [worst, had[worst] || 0, changed, had];
		});
	}

	function draw(row, cells) {
		cells.forEach(([letter, number, changed], at) => {
			const cell = row.cells[at];
			const count = "ps.".includes(letter) || number < 2 ? "" : number;
			cell.textContent = letter === "." ? "" : data.symbols[letter] + count;
			cell.className = (letter === "." ? "" : letter) + (changed ? " c" : "");
		});
	}

	function fits(outcome, cells) {
		if (outcome === "")
			return true;
		if (outcome === "changed")
			return cells.some((cell) => cell[2]);
		if (outcome === "none")
			return cells.every((cell) => cell[0] === ".");
		const letter = letterOf(outcome);
		return cells.some((cell) => cell[3][letter]);
	}

	function apply() {
		const [text, name, device, flavour, outcome] = inputs.map((i) => i.value);
		const words = text.toLowerCase().split(/\s+/).filter(Boolean);
		const wanted = {
			flavour: data.flavours.indexOf(flavour),
			device: data.devices.indexOf(device),
		};
		let number = 0;
		for (const group of groups)
			group.hidden = true;
		for (const row of rows) {
			const items = row.items.filter((item) => {
				const [f, d] = data.items[item];
				return (!flavour || f === wanted.flavour) &&
					(!device || d === wanted.device);
			});
			const cells = cellsOf(items);
			const show = (!name || row.group.dataset.interface === name) &&
				words.every((word) => row.text.includes(word)) &&
				(items.length > 0 || !(device || flavour)) &&
				fits(outcome, cells);
			row.element.hidden = !show;
			if (!show)
				continue;
			row.group.hidden = false;
			draw(row, cells);
			number++;
		}
		shown.textContent = `${number} of ${rows.length} clauses`;
	}

	function remember() {
		const state = new URLSearchParams();
		inputs.forEach((input, at) => {
			if (input.value)
				state.set(NAMES[at], input.value);
		});
		const text = state.toString();
		history.replaceState(null, "", text ? "#" + text : location.pathname);
	}

	function recall() {
		const state = new URLSearchParams(location.hash.slice(1));
		if (!NAMES.some((name) => state.has(name)))
			return;
		inputs.forEach((input, at) => {
			input.value = state.get(NAMES[at]) || "";
			if (input.selectedIndex === -1)
				input.value = "";
		});
		apply();
	}

	function filter() {
		apply();
		remember();
	}

	form.addEventListener("input", filter);
	form.addEventListener("change", filter); // not every browser has both
	form.addEventListener("reset", () => setTimeout(filter));
	form.addEventListener("submit", (event) => event.preventDefault());
	window.addEventListener("hashchange", recall);
	document.addEventListener("keydown", (event) => {
		if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey ||
		    event.target.closest("input, select, textarea"))
			return;
		event.preventDefault();
		inputs[0].focus();
	});
	form.hidden = false;
	apply();
	recall();
})();
