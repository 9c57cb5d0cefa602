//! The WGSL files as text: naga reads and validates each, its bindings are those of the registry, and with the constants that
//! ops give it can be written for every backend.

use std::collections::{BTreeSet, HashMap};

use naga::back::{glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Handle, Module, ShaderStage, StorageAccess, Type, TypeInner};
use smallbox::kernel::{Access, Dispatch, Scalar, Shader};
use smallbox::ops::shaders;

use super::variants::dispatches;

/// Parses and validates, or says what is wrong.
fn read(source: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let subgroups = source.contains("@builtin(subgroup_");
    let capabilities = if subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(source))?;
    Ok((module, info))
}

/// Whether the bindings of the text are those of the registry, with its parameters behind them.
fn check_bindings(shader: &Shader, module: &Module) -> Result<(), String> {
    let mut found = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        if binding.group != 0 {
            return Err(format!("{:?} is not in group 0", variable.name));
        }
        if variable.name.as_deref() == Some("params") {
            let uniform = variable.space == AddressSpace::Uniform;
            if uniform != shader.has_uniform() || uniform != (shader.bindings.len() == 8) {
                return Err(format!("params in {:?}", variable.space));
            }
            check_params(shader, module, variable.ty)?;
            if binding.binding as usize != shader.bindings.len() {
                return Err(format!("params at binding {}", binding.binding));
            }
            continue;
        }
        let AddressSpace::Storage { access } = variable.space else {
            return Err(format!("{:?} is not a storage buffer", variable.name));
        };
        let access = if access.contains(StorageAccess::STORE) { Access::Write } else { Access::Read };
        found.push((binding.binding, variable.name.clone().unwrap_or_default(), access));
    }
    found.sort_by_key(|(binding, ..)| *binding);
    let expected: Vec<_> =
        shader.bindings.iter().enumerate().map(|(i, (name, access))| (i as u32, name.to_string(), *access)).collect();
    if found == expected { Ok(()) } else { Err(format!("bindings {found:?}, the registry says {expected:?}")) }
}

/// Whether the fields of `ty` are the parameters that the shader says it has, one behind the other.
fn check_params(shader: &Shader, module: &Module, ty: Handle<Type>) -> Result<(), String> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { return Err("params is no struct".into()) };
    let scalar = |ty: Handle<Type>| match module.types[ty].inner {
        TypeInner::Scalar(naga::Scalar::U32) => Ok(Scalar::U32),
        TypeInner::Scalar(naga::Scalar::I32) => Ok(Scalar::I32),
        TypeInner::Scalar(naga::Scalar::F32) => Ok(Scalar::F32),
        ref other => Err(format!("a parameter of type {other:?}")),
    };
    let mut found = Vec::new();
    for (i, member) in members.iter().enumerate() {
        if member.offset as usize != 4 * i {
            return Err(format!("{:?} is at byte {}", member.name, member.offset));
        }
        found.push((member.name.clone().unwrap_or_default(), scalar(member.ty)?));
    }
    let said: Vec<_> = shader.params().into_iter().map(|(name, scalar)| (name.to_string(), scalar)).collect();
    if found == said { Ok(()) } else { Err(format!("parameters {found:?}, read as {said:?}")) }
}

/// Whether the dispatch gives a value to every constant that needs one and to every parameter, and to no other.
fn check_overrides(dispatch: &Dispatch, module: &Module) -> Result<(), String> {
    let params = dispatch.shader.params();
    let given: BTreeSet<&str> = dispatch.overrides.iter().map(|(name, _)| *name).collect();
    if given.len() != dispatch.overrides.len() {
        return Err(format!("a constant is given twice: {:?}", dispatch.overrides));
    }
    let constants = || module.overrides.iter().map(|(_, o)| (o.name.as_deref().unwrap_or_default(), o.init.is_some()));
    let declared = || constants().chain(params.iter().map(|(name, _)| (*name, false)));
    if let Some(unknown) = given.iter().find(|name| !declared().any(|(declared, _)| declared == **name)) {
        return Err(format!("no constant is called {unknown}"));
    }
    match declared().find(|(name, has_default)| !has_default && !given.contains(name)) {
        Some((missing, _)) => Err(format!("{missing} is not given")),
        None => Ok(()),
    }
}

/// Writes the shader, with the dispatch's constants, as SPIR-V, MSL, HLSL and GLSL.
fn write_all(dispatch: &Dispatch, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let params = dispatch.shader.params();
    let constants = dispatch.overrides.iter().filter(|(name, _)| params.iter().all(|(param, _)| param != name));
    let constants = constants.map(|(name, value)| (name.to_string(), *value)).collect::<HashMap<_, _>>();
    let entry = Some((ShaderStage::Compute, "main"));
    let constants = constants.into_iter().collect();
    let (module, info) = process_overrides(module, info, entry, &constants).map_err(|e| format!("constants: {e}"))?;
    let entry = || Some((ShaderStage::Compute, "main".to_string()));

    let words = spv::write_vec(&module, &info, &spv::Options::default(), None).map_err(|e| format!("SPIR-V: {e}"))?;
    assert!(words.len() > 100, "SPIR-V of a kernel has more than a header");

    let options = msl::Options { lang_version: (2, 0), ..Default::default() };
    let pipeline = msl::PipelineOptions { entry_point: entry(), ..Default::default() };
    let (text, _) = msl::write_string(&module, &info, &options, &pipeline).map_err(|e| format!("MSL: {e}"))?;
    assert!(text.contains("kernel void"), "MSL has a kernel");

    let mut text = String::new();
    let options = hlsl::Options::default();
    let pipeline = hlsl::PipelineOptions { entry_point: entry() };
    hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).map_err(|e| format!("HLSL: {e}"))?;
    assert!(text.contains("numthreads"), "HLSL has a kernel");

    let mut text = String::new();
    let options = glsl::Options { version: glsl::Version::new_gles(310), ..Default::default() };
    let pipeline =
        glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, Default::default())
        .and_then(|mut writer| writer.write())
        .map_err(|e| format!("GLSL: {e}"))?;
    assert!(text.contains("local_size_x"), "GLSL has a kernel");
    Ok(())
}

#[test]
fn files_and_registry_hold_the_same_shaders() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "wgsl"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let used: BTreeSet<String> = shaders::ALL.iter().flat_map(|s| s.files).map(|file| file.to_string()).collect();
    assert!(!files.is_empty());
    assert_eq!(files, used);
    assert!(shaders::ALL.is_sorted_by_key(|s| s.name), "sorted by name");
}

#[test]
fn every_shader_is_valid_and_binds_what_the_registry_says() {
    for shader in shaders::ALL {
        let (module, _) = read(shader.source).unwrap_or_else(|e| panic!("{}: {e}", shader.name));
        check_bindings(shader, &module).unwrap_or_else(|e| panic!("{}: {e}", shader.name));
        assert_eq!(module.entry_points.len(), 1, "{}: one entry point", shader.name);
        assert_eq!(module.entry_points[0].name, "main", "{}", shader.name);
        assert!(
            shader.source.starts_with(&format!("// {}: ", shader.files[0])),
            "{}: the header says what it computes",
            shader.name
        );
    }
}

#[test]
fn every_dispatch_compiles_for_every_backend() {
    let mut seen = BTreeSet::new();
    for (_, limits) in super::variants() {
        for dispatch in dispatches(&limits) {
            // A few sets of constants per shader are enough for the writers.
            let name = dispatch.shader.name;
            let (module, info) = read(dispatch.shader.source).unwrap();
            check_overrides(&dispatch, &module).unwrap_or_else(|e| panic!("{name}: {e}"));
            if seen.iter().filter(|(n, _)| *n == name).count() < 4
                && seen.insert((name, format!("{:?}", dispatch.overrides)))
            {
                write_all(&dispatch, &module, &info).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
    }
    assert!(seen.len() >= shaders::ALL.len());
}

#[test]
fn wrong_shaders_are_rejected() {
    let good = &shaders::RELU_FORWARD;
    assert!(read(&good.source.replace("x[i]", "missing[i]")).is_err(), "an unknown name");
    assert!(read(&good.source.replace("let v = x[i];", "let v = x[i] + 1u;")).is_err(), "a type error");
    let (module, _) = read(&good.source.replace("var<storage, read> x", "var<storage, read_write> x")).unwrap();
    assert!(check_bindings(good, &module).is_err(), "another access");
    let (module, _) =
        read(&good.source.replace("COUNT: u32", "COUNT: i32").replace("params.COUNT", "u32(params.COUNT)")).unwrap();
    assert!(check_bindings(good, &module).is_err(), "another type of a parameter");
    let (module, _) = read(&good.source.replace("@binding(2)", "@binding(3)")).unwrap();
    assert!(check_bindings(good, &module).is_err(), "parameters at another binding");
    let dispatch = |overrides| Dispatch { shader: good, binds: Vec::new(), overrides, groups: [1; 3] };
    assert!(check_overrides(&dispatch(vec![]), &module).is_err(), "a missing parameter");
    assert!(check_overrides(&dispatch(vec![("COUNT", 1.0), ("OTHER", 1.0)]), &module).is_err(), "an unknown constant");
    let (module, info) = read(shaders::EXPAND.source).unwrap();
    let dispatch = Dispatch { shader: &shaders::EXPAND, ..dispatch(vec![]) };
    assert!(check_overrides(&dispatch, &module).is_err(), "a missing constant");
    assert!(write_all(&dispatch, &module, &info).is_err(), "an unresolved constant");
}
