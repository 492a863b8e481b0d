//! What a folder of WIT packages publishes, as a flat list of named items, and how one such list breaks another.
//!
//! A package is known by its name and compatibility track (`understudy:dns@0.1`): two versions of one track promise the
//! same. Types are told by where they are defined, so an alias or a `use` changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use wit_parser::{
    Docs, Function, InterfaceId, PackageId, PackageName, Resolve, SourceMap, Stability, Type,
    TypeDef, TypeDefKind, TypeId, TypeOwner, UnresolvedPackageGroup, WorldItem,
};

/// The text of packages: folder of a package, its files and what is in them.
pub(crate) type Sources = BTreeMap<String, BTreeMap<PathBuf, String>>;

/// The WIT files below `folder`, which has one folder for each package.
pub(crate) fn sources(folder: &Path) -> Sources {
    let list = |folder: &Path| {
        std::fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    list(folder)
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|package| {
            let files = list(&package).into_iter();
            let files = files.map(|file| (file.clone(), std::fs::read_to_string(file).unwrap()));
            let name = package.file_name().unwrap().to_str().unwrap().to_owned();
            (name, files.collect())
        })
        .collect()
}

/// Parses the packages, each after those it depends on.
pub(crate) fn parse(sources: &Sources) -> Resolve {
    let mut waiting: Vec<UnresolvedPackageGroup> = sources
        .values()
        .map(|files| {
            let mut map = SourceMap::default();
            files.iter().for_each(|(path, text)| {
                map.push(path, text);
            });
            map.parse()
                .map_err(|(map, error)| error.render(&map))
                .unwrap()
        })
        .collect();
    let mut resolve = Resolve::default();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|group| {
            let mut needs = group.main.foreign_deps.keys();
            needs.all(|name| resolve.package_names.contains_key(name))
        });
        let ready = ready.unwrap_or_else(|| {
            let names = waiting.iter().map(|group| group.main.name.to_string());
            panic!(
                "packages that need one that is missing: {:?}",
                names.collect::<Vec<_>>()
            )
        });
        resolve.push_group(waiting.swap_remove(ready)).unwrap();
    }
    resolve
}

/// One published thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// Name and track: `understudy:dns@0.1`.
    package: String,
    /// `function`, `record`, `world` …
    kind: &'static str,
    /// `dns.ensure-record`.
    name: String,
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.package, self.name)
    }
}

/// What an item is made of, in order: parameters and result, fields, cases.
type Shape = Vec<String>;

/// Everything a set of packages publishes.
pub(crate) struct Published {
    items: BTreeMap<Item, Shape>,
    /// Tracks by package name without version.
    tracks: BTreeMap<String, BTreeSet<String>>,
    /// Items without documentation or without `@since`, and what is wrong.
    pub(crate) undocumented: Vec<String>,
}

impl Published {
    pub(crate) fn of(resolve: &Resolve) -> Self {
        let mut published = Self {
            items: BTreeMap::new(),
            tracks: BTreeMap::new(),
            undocumented: Vec::new(),
        };
        for (id, package) in resolve.packages.iter() {
            let name = &package.name;
            let unversioned = format!("{}:{}", name.namespace, name.name);
            let tracks = published.tracks.entry(unversioned).or_default();
            tracks.insert(track(name));
            for interface in package.interfaces.values() {
                published.interface(resolve, id, *interface);
            }
            for world in package.worlds.values() {
                published.world(resolve, id, *world);
            }
        }
        published
    }

    fn interface(&mut self, resolve: &Resolve, package: PackageId, id: InterfaceId) {
        let interface = &resolve.interfaces[id];
        let name = interface.name.clone().unwrap();
        self.add(
            resolve,
            package,
            ("interface", name.clone()),
            Shape::new(),
            Some((&interface.docs, &interface.stability)),
        );
        for (inner, ty) in &interface.types {
            let def = &resolve.types[*ty];
            // What is used from elsewhere is documented there.
            let own = !matches!(def.kind, TypeDefKind::Type(Type::Id(other)) if resolve.types[other].owner != def.owner);
            let documents = own.then_some((&def.docs, &def.stability));
            let kind = if own { def.kind.as_str() } else { "use" };
            let item = (kind, format!("{name}.{inner}"));
            self.add(resolve, package, item, type_shape(resolve, def), documents);
        }
        for function in interface.functions.values() {
            let item = ("function", format!("{name}.{}", function.name));
            let documents = (&function.docs, &function.stability);
            let shape = function_shape(resolve, function);
            self.add(resolve, package, item, shape, Some(documents));
        }
    }

    /// Imports of a world may grow: a plugin uses what it likes. What a plugin has to export is the world's shape.
    fn world(&mut self, resolve: &Resolve, package: PackageId, id: wit_parser::WorldId) {
        let world = &resolve.worlds[id];
        let told = |item: &WorldItem| match item {
            WorldItem::Interface { id, .. } => interface_name(resolve, *id),
            WorldItem::Function(function) => {
                format!(
                    "{} {}",
                    function.name,
                    function_shape(resolve, function).join(", ")
                )
            }
            WorldItem::Type { id, .. } => type_name(resolve, &Type::Id(*id)),
        };
        let exports = world
            .exports
            .values()
            .map(|item| format!("export {}", told(item)));
        self.add(
            resolve,
            package,
            ("world", world.name.clone()),
            exports.collect(),
            Some((&world.docs, &world.stability)),
        );
        for item in world.imports.values() {
            let import = ("import", format!("{} {}", world.name, told(item)));
            self.add(resolve, package, import, Shape::new(), None);
        }
    }

    fn add(
        &mut self,
        resolve: &Resolve,
        package: PackageId,
        (kind, name): (&'static str, String),
        shape: Shape,
        documents: Option<(&Docs, &Stability)>,
    ) {
        let package = &resolve.packages[package].name;
        let item = Item {
            package: tracked(package),
            kind,
            name,
        };
        if let Some((docs, stability)) = documents {
            // That no `@since` is newer than its package is the parser's to refuse.
            let wrong = match stability {
                _ if docs.is_empty() => Some("has no doc comment"),
                Stability::Stable { .. } => None,
                _ => Some("has no `@since`"),
            };
            self.undocumented
                .extend(wrong.map(|wrong| format!("{item} {wrong}")));
        }
        assert!(self.items.insert(item, shape).is_none());
    }

    /// What `newer` breaks of this: one line for each, naming the item. A package that is there in another track was
    /// given up openly, and is not compared.
    pub(crate) fn broken_by(&self, newer: &Self) -> Vec<String> {
        let mut findings = Vec::new();
        let mut given_up = BTreeSet::new();
        for (name, tracks) in &self.tracks {
            for track in tracks {
                let now = newer.tracks.get(name);
                if now.is_some_and(|now| now.contains(track)) {
                    continue;
                }
                given_up.insert(format!("{name}@{track}"));
                if now.is_none() {
                    findings.push(format!("package {name}@{track} is gone"));
                }
            }
        }
        for (item, shape) in &self.items {
            if given_up.contains(&item.package) {
                continue;
            }
            match newer.items.get(item) {
                None => findings.push(format!("{item} is gone")),
                Some(now) => findings.extend(changed(item, shape, now)),
            }
        }
        findings
    }
}

/// How a shape changed, if it did.
fn changed(item: &Item, before: &Shape, now: &Shape) -> Option<String> {
    if before == now {
        return None;
    }
    let without = |these: &Shape, those: &Shape| {
        let left: Vec<&str> = these
            .iter()
            .filter(|line| !those.contains(line))
            .map(String::as_str)
            .collect();
        left.join("`, `")
    };
    let (lost, gained) = (without(before, now), without(now, before));
    Some(match (lost.is_empty(), gained.is_empty()) {
        (true, true) => format!("{item} has another order: `{}`", now.join("`, `")),
        (true, false) => format!("{item} gained `{gained}`"),
        (false, true) => format!("{item} lost `{lost}`"),
        (false, false) => format!("{item} has `{gained}` where it had `{lost}`"),
    })
}

fn track(name: &PackageName) -> String {
    let version = name.version.as_ref();
    version.map_or_else(String::new, PackageName::version_compat_track_string)
}

fn tracked(name: &PackageName) -> String {
    format!("{}:{}@{}", name.namespace, name.name, track(name))
}

fn interface_name(resolve: &Resolve, id: InterfaceId) -> String {
    let interface = &resolve.interfaces[id];
    let package = interface
        .package
        .map(|package| tracked(&resolve.packages[package].name));
    let name = interface.name.as_deref().unwrap_or("inline");
    format!("{}/{name}", package.unwrap_or_default())
}

fn function_shape(resolve: &Resolve, function: &Function) -> Shape {
    let mut shape: Shape = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, type_name(resolve, &param.ty)))
        .collect();
    shape.extend(
        function
            .result
            .iter()
            .map(|ty| format!("-> {}", type_name(resolve, ty))),
    );
    shape.extend(function.kind.is_async().then(|| "async".to_owned()));
    shape
}

fn type_shape(resolve: &Resolve, def: &TypeDef) -> Shape {
    match &def.kind {
        TypeDefKind::Record(record) => record
            .fields
            .iter()
            .map(|field| format!("{}: {}", field.name, type_name(resolve, &field.ty)))
            .collect(),
        TypeDefKind::Variant(variant) => variant
            .cases
            .iter()
            .map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, type_name(resolve, ty)),
                None => case.name.clone(),
            })
            .collect(),
        TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| case.name.clone()).collect(),
        TypeDefKind::Flags(flags) => flags.flags.iter().map(|flag| flag.name.clone()).collect(),
        TypeDefKind::Type(ty) => vec![type_name(resolve, ty)],
        TypeDefKind::Resource => Shape::new(),
        kind => vec![anonymous(resolve, kind)],
    }
}

fn type_name(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let id = origin(resolve, *id);
    let def = &resolve.types[id];
    match (&def.name, def.owner) {
        (Some(name), TypeOwner::Interface(owner)) => {
            format!("{}.{name}", interface_name(resolve, owner))
        }
        (Some(name), _) => name.clone(),
        (None, _) => anonymous(resolve, &def.kind),
    }
}

/// Where a type is defined, behind `use` and aliases of other types.
fn origin(resolve: &Resolve, mut id: TypeId) -> TypeId {
    while let TypeDefKind::Type(Type::Id(next)) = resolve.types[id].kind {
        id = next;
    }
    id
}

fn anonymous(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let name = |ty: &Type| type_name(resolve, ty);
    let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), name);
    match kind {
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(name).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", name(ty)),
        TypeDefKind::Result(result) => {
            format!(
                "result<{}, {}>",
                optional(&result.ok),
                optional(&result.err)
            )
        }
        TypeDefKind::List(ty) => format!("list<{}>", name(ty)),
        TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", name(ty)),
        TypeDefKind::Map(key, value) => format!("map<{}, {}>", name(key), name(value)),
        other => panic!("{} does not cross the seam", other.as_str()),
    }
}
