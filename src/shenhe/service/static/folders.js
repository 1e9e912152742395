// Files and folders that were dropped or chosen become groups: a folder with photos is one.
const PHOTO = /\.(jpe?g|png|webp|bmp|heic|heif|tiff?)$/i;
const LABELS = ["审核通过", "审核不通过"];
const order = new Intl.Collator("zh", { numeric: true });

// Gives every file of a drop with the folders that it lies in, from the outermost one.
export async function readDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, folders: [] }));
  const files = await Promise.all(entries.map((entry) => readEntry(entry, [])));
  return files.flat();
}
async function readEntry(entry, folders) {
  if (entry.isFile) {
    const file = await new Promise((give, fail) => entry.file(give, fail)).catch(() => null);
    return file ? [{ file, folders }] : [];
  }
  const reader = entry.createReader();
  const inside = [];
  // A browser gives the entries of a folder a hundred at a time.
  for (;;) {
    const some = await new Promise((give, fail) => reader.readEntries(give, fail)).catch(() => []);
    if (!some.length) break;
    inside.push(...some);
  }
  const files = await Promise.all(inside.map((each) => readEntry(each, [...folders, entry.name])));
  return files.flat();
}
export function readInput(input) {
  return [...input.files].map((file) => ({ file, folders: file.webkitRelativePath.split("/").slice(0, -1) }));
}

function isHidden({ file, folders }) {
  return [...folders, file.name].some((name) => name.startsWith("."));
}
function isPhoto(file) {
  return PHOTO.test(file.name) || (file.type.startsWith("image/") && !file.name.includes("."));
}
// Gives groups of photos in natural order, and how many files are no photos.
export function groupFiles(entries, missions) {
  const shown = entries.filter((entry) => !isHidden(entry));
  const photos = shown.filter(({ file }) => isPhoto(file));
  const groups = new Map();
  for (const { file, folders } of photos) {
    const path = folders.join("/");
    if (!groups.has(path)) groups.set(path, { ...nameGroup(folders, missions), files: [] });
    groups.get(path).files.push(file);
  }
  const listed = [...groups].sort(([one], [two]) => order.compare(one, two)).map(([, group]) => group);
  for (const group of listed) group.files.sort((one, two) => order.compare(one.name, two.name));
  return { groups: listed, passedOver: shown.length - photos.length };
}
// mission/label/group and mission/group as in a photo tree, else the innermost folder is the group.
function nameGroup(folders, missions) {
  const plain = (name) => name.normalize("NFKC").trim();
  const known = new Map(missions.map((name) => [plain(name), name]));
  const at = folders.findLastIndex((name) => known.has(plain(name)));
  const below = folders.slice(at + 1).filter((name) => !LABELS.includes(name));
  return { mission: at < 0 ? "" : known.get(plain(folders[at])), id: (below.at(-1) ?? "").trim() };
}
