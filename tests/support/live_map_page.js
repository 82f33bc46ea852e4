// Runs the code block of docs/live-map.md (first argument) against an API (second) with a token (third) and says every call as a JSON line.
const { readFileSync } = require("node:fs");

const [, , codeFile, address, token] = process.argv;
const say = (...said) => process.stdout.write(JSON.stringify(said) + "\n");

const liveMap = new Function(`${readFileSync(codeFile, "utf8")}; return liveMap;`)();
let box = [121.4, 31.2, 121.5, 31.3];
const map = liveMap(address, {
  token: () => token,
  currentBox: () => box,
  onShow: (device) => say("show", device.id, device.lat),
  onMove: (device) => say("move", device.id, device.lat),
  onGone: (id) => say("gone", id),
  onState: (state) => say("state", state),
});

// The test pans by a line with another box, and ends the map by closing the input.
require("node:readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    box = JSON.parse(line);
    map.look();
  })
  .on("close", () => {
    map.close();
    say("closed", map.devices.size);
  });
