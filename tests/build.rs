//! `build`

use crate::lab::image::box_draft;
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, differs_on_purpose, eventually, has_program};

fn built(lab: &Lab, text: &str, flags: &str) -> String {
    lab.write("context/Containerfile", text);
    lab.ok(&format!("build -q -t made {flags} context"))
}

#[test]
fn instructions_become_an_image() {
    let lab = Lab::new();
    lab.write("context/in.txt", "from the context\n");
    let id = built(
        &lab,
        "FROM localhost/box
ARG WORD=default
ENV GREETING=hello
LABEL k=v
WORKDIR /work
COPY in.txt .
RUN echo \"$GREETING $WORD\" > said && mkdir sub
USER alice
EXPOSE 80/tcp
VOLUME /data
STOPSIGNAL SIGUSR1
ENTRYPOINT [\"sh\", \"-c\"]
CMD [\"cat in.txt said; id -un; pwd\"]
",
        "--build-arg WORD=given",
    );
    assert_eq!(id.len(), 64, "{id}");
    assert_eq!(lab.ok("run --rm --network none made"), "from the context\nhello given\nalice\n/work");
    let json = lab.json("image inspect made");
    let config = &json[0]["Config"];
    assert_eq!(
        (&config["Labels"]["k"], &config["User"], &config["StopSignal"]),
        (&"v".into(), &"alice".into(), &"SIGUSR1".into())
    );
    assert!(config["ExposedPorts"].get("80/tcp").is_some() && config["Volumes"].get("/data").is_some(), "{config}");
}

#[test]
fn stages_hand_files_on_and_unused_ones_are_left_out() {
    let lab = Lab::new();
    built(
        &lab,
        "FROM localhost/box AS first
RUN echo made > /made
FROM localhost/box AS unused
RUN false
FROM first AS second
RUN echo more >> /made
FROM localhost/box
COPY --from=second /made /got
COPY --from=0 --chown=alice --chmod=640 /made /hers
",
        "",
    );
    assert_eq!(
        lab.ok("run --rm --network none made sh -c 'cat /got; stat -c \"%U %a\" /hers'"),
        "made\nmore\nalice 640"
    );
    built(&lab, "FROM localhost/box AS a\nRUN touch /a\nFROM localhost/box AS b\nRUN touch /b\n", "--target a");
    lab.ok("run --rm --network none made test -e /a");
}

#[test]
fn a_second_build_uses_the_first_ones_layers_until_something_changes() {
    let lab = Lab::new();
    lab.write("context/f", "one\n");
    let text = "FROM localhost/box\nRUN head -c 8 /dev/urandom | md5sum > /chance\nCOPY f /f\nRUN cat /f > /g\n";
    let first = built(&lab, text, "");
    let chance = lab.ok("run --rm --network none made cat /chance");
    assert_eq!(built(&lab, text, ""), first);
    lab.write("context/f", "two\n");
    assert_ne!(built(&lab, text, ""), first);
    assert_eq!(lab.ok("run --rm --network none made cat /chance /g"), format!("{chance}\ntwo"));
    built(&lab, text, "--no-cache");
    assert_ne!(lab.ok("run --rm --network none made cat /chance"), chance);
}

#[test]
fn a_failing_step_gives_its_code_and_no_image() {
    let lab = Lab::new();
    lab.write("context/Containerfile", "FROM localhost/box\nRUN echo before > /b\nRUN exit 7\n");
    let outcome = lab.creel("build -t made context").run();
    assert_eq!(outcome.exit_code(), 7, "{outcome}");
    assert_eq!(lab.creel("image exists made").run().exit_code(), 1);
    for (what, text) in [
        ("an unknown instruction", "FROM localhost/box\nNONSENSE x\n"),
        ("no FROM", "RUN true\n"),
        ("a missing file", "FROM localhost/box\nCOPY nowhere /x\n"),
        ("nothing", ""),
    ] {
        lab.write("context/Containerfile", text);
        assert_eq!(lab.creel("build -t made context").run().exit_code(), 125, "{what}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn what_is_ignored_does_not_come_in() {
    let lab = Lab::new();
    for file in ["a.txt", "b.log", "sub/c.log", "sub/keep.log", "secret"] {
        lab.write(&format!("context/{file}"), "");
    }
    lab.write("context/.containerignore", "# remark\nsecret\n**/*.log\n!sub/keep.log\n");
    built(&lab, "FROM localhost/box\nCOPY . /got\n", "");
    let found = lab.ok("run --rm --network none made sh -c 'cd /got; find . -type f | sort'");
    assert!(found.contains("./a.txt") && found.contains("./sub/keep.log"), "{found}");
    assert!(!found.contains("secret") && !found.contains("b.log") && !found.contains("c.log"), "{found}");
}

#[test]
fn mounts_bring_secrets_caches_and_files_for_one_step() {
    let lab = Lab::new();
    lab.write("word", "sesame\n");
    lab.write("context/f", "bound\n");
    built(
        &lab,
        "FROM localhost/box
RUN --mount=type=secret,id=word cat /run/secrets/word > /word
RUN --mount=type=bind,source=f,target=/f cat /f > /bound
RUN --mount=type=cache,target=/cache echo kept > /cache/f
RUN --mount=type=cache,target=/cache cat /cache/f > /cached
RUN --mount=type=tmpfs,target=/t touch /t/x
",
        "--secret id=word,src=word",
    );
    assert_eq!(lab.ok("run --rm --network none made cat /word /bound /cached"), "sesame\nbound\nkept");
    lab.creel("run --rm --network none made ls /run/secrets/word").run().fails(1);
    assert_eq!(
        lab.ok("run --rm --network none made sh -c 'ls /cache /t 2> /dev/null; true'")
            .replace(":\n", "")
            .replace("/cache", "")
            .replace("/t", "")
            .trim(),
        ""
    );
}

#[test]
fn scripts_in_the_file_are_run_and_written() {
    let lab = Lab::new();
    built(&lab, "FROM localhost/box\nRUN <<EOF\necho one > /a\necho two >> /a\nEOF\nCOPY <<'X' /b\nraw $HOME\nX\n", "");
    assert_eq!(lab.ok("run --rm --network none made cat /a /b"), "one\ntwo\nraw $HOME");
}

#[test]
fn archives_are_unpacked_by_add_and_not_by_copy() {
    let lab = Lab::new();
    let archive = crate::lab::archive::Archive::new().file("inner", 0o644, "unpacked\n").bytes();
    lab.write("context/a.tar", archive);
    built(&lab, "FROM localhost/box\nADD a.tar /added/\nCOPY a.tar /copied/\n", "");
    assert_eq!(lab.ok("run --rm --network none made sh -c 'cat /added/inner; ls /copied'"), "unpacked\na.tar");
}

#[test]
fn the_output_tells_the_steps() {
    let lab = Lab::new();
    lab.write("context/Containerfile", "FROM localhost/box\nRUN echo from-the-step\n");
    let outcome = lab.creel("build -t made --iidfile id context").run();
    let text = outcome.ok();
    assert!(text.contains("STEP 1/2: FROM localhost/box") && text.contains("from-the-step"), "{outcome}");
    assert!(text.contains("Successfully tagged localhost/made:latest"), "{outcome}");
    let id = text.lines().last().unwrap().to_owned();
    assert_eq!(lab.ok("image inspect --format {{.Id}} made"), id);
    assert_eq!(lab.read("id").trim().trim_start_matches("sha256:"), id);
    let outcome = lab.creel("build context").run();
    assert!(outcome.ok().contains("Using cache"), "{outcome}");
}

#[test]
fn the_file_may_come_from_elsewhere() {
    let lab = Lab::new();
    lab.folder("context");
    lab.creel("build -q -t made -f - context").input("FROM localhost/box\nRUN touch /piped\n").run().ok();
    lab.ok("run --rm --network none made test -e /piped");
    lab.write("context/Other", "FROM localhost/box\nRUN touch /other\n");
    lab.ok("build -q -t made -f context/Other context");
    lab.ok("run --rm --network none made test -e /other");
    lab.write("context/Dockerfile", "FROM localhost/box\nRUN touch /docker\n");
    lab.ok("build -q -t made context");
    lab.ok("run --rm --network none made test -e /docker");
}

#[test]
fn the_files_of_an_image_are_written_out() {
    let lab = Lab::new();
    lab.write("Containerfile", "FROM scratch\nCOPY f /dir/f\n");
    lab.write("f", "content");
    lab.ok("build -q -o out -o type=tar,dest=out.tar .");
    assert_eq!(lab.read("out/dir/f"), "content");
    assert_eq!(lab.shell("tar tf out.tar").run().ok(), "dir/\ndir/f");
    let error = lab.creel("build -q -o type=oci,dest=x .").run().fails(125);
    assert!(error.contains("invalid type \"oci\" selected for build output options"), "{error}");
}

#[test]
fn an_image_for_another_machine_needs_an_emulator_only_for_run() {
    let lab = Lab::new();
    lab.write("f", "content");
    lab.write("Containerfile", "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY f /f\n");
    let told = lab.ok("build --platform linux/s390x,linux/amd64 --manifest both .");
    assert!(told.contains("[linux/s390x] STEP 1/4: FROM scratch"), "{told}");
    let list = lab.json("manifest inspect both");
    let mut platforms: Vec<&str> = list["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instance| instance["platform"]["architecture"].as_str().unwrap())
        .collect();
    platforms.sort_unstable();
    assert_eq!(platforms, ["amd64", "s390x"]);
    lab.ok("build -q --arch s390x -t foreign .");
    let shown = lab.ok("image inspect --format '{{.Architecture}} {{.Labels.for}}' foreign");
    assert_eq!(shown, "s390x s390x");
    lab.write("Containerfile", "FROM foreign\nRUN true\n");
    let error = lab.creel("build -q --platform linux/s390x .").run();
    if !std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists()
        && !crate::lab::differs_on_purpose("Podman starts the program and fails")
    {
        assert!(error.fails(125).contains("needs an emulator for linux/s390x"), "{error}");
    }
}

#[test]
fn labels_annotations_and_history_are_inherited_unless_refused() {
    let lab = Lab::new();
    lab.write("Containerfile", "FROM box\nLABEL of=base\n");
    lab.ok("build -q --annotation note=base -t base .");
    lab.write("Containerfile", "FROM base\nENV A=1\nLABEL own=label\n");
    let annotations = |name: &str| lab.json(&format!("image inspect {name}"))[0]["Annotations"].clone();
    lab.ok("build -q -t kept .");
    assert_eq!(annotations("kept")["note"], "base");
    assert_eq!(annotations("kept")["org.opencontainers.image.base.name"], "localhost/base:latest");
    assert!(annotations("kept")["org.opencontainers.image.created"].is_string());
    lab.ok(
        "build -q -t bare --inherit-labels=false --inherit-annotations=false --created-annotation=false --omit-history \
         --layer-label step=1 .",
    );
    assert_eq!(annotations("bare").as_object().unwrap().len(), 0);
    let bare = lab.json("image inspect bare");
    assert_eq!(bare[0]["Labels"]["own"], "label");
    assert!(bare[0]["Labels"]["of"].is_null() && bare[0]["Labels"]["step"].is_null(), "{bare}");
    assert!(bare[0]["History"].is_null(), "{bare}");
    lab.ok("build -q -t cut --unsetannotation note .");
    assert!(annotations("cut")["note"].is_null());
}

#[test]
fn a_given_epoch_is_the_images_time_and_no_file_is_newer() {
    let lab = Lab::new();
    lab.write("f", "content");
    lab.write("Containerfile", "FROM scratch\nCOPY f /f\n");
    let id = |flags: &str| lab.ok(&format!("build -q --no-cache {flags} ."));
    let flags = "--source-date-epoch 1700000000 --rewrite-timestamp";
    assert_eq!(id(flags), id(flags));
    assert_eq!(
        lab.ok(&format!("image inspect --format {{{{.Created}}}} {}", id(flags))),
        "2023-11-14 22:13:20 +0000 UTC"
    );
    let by_variable =
        lab.creel("build -q --no-cache --rewrite-timestamp .").env("SOURCE_DATE_EPOCH", "1700000000").run();
    assert_eq!(by_variable.ok(), id(flags));
    let error = lab.creel("build --timestamp 1 --source-date-epoch 2 .").run().fails(125);
    assert!(error.contains("would be ambiguous if allowed together"), "{error}");
}

#[test]
fn a_prune_beside_a_build_leaves_what_that_has_made() {
    let lab = Lab::new();
    lab.write("sync/empty", "");
    let waits = "RUN touch /sync/waits; until [ -e /sync/go ]; do sleep 0.1; done";
    lab.write(
        "Containerfile",
        format!("FROM box AS one\nRUN echo made > /x\nFROM box\n{waits}\nCOPY --from=one /x /x\n"),
    );
    let sync = format!("{}:/sync", lab.path("sync").display());
    let build = lab.creel_words(&["build", "-v", &sync, "-t", "made", "."]).spawn();
    eventually("the build waits", || lab.path("sync/waits").exists());
    lab.ok("image prune -f");
    lab.write("sync/go", "");
    build.end().ok();
    assert_eq!(lab.ok("run --rm --network none made cat /x"), "made");
}

#[test]
fn other_machines_find_steps_in_a_registry() {
    let lab = Lab::new();
    let Some(registry) = crate::lab::registry::Registry::start(&lab, crate::lab::registry::Guarded::Plain) else {
        return crate::lab::skip("there is no registry program");
    };
    let cache = format!("localhost:{}/cache", registry.port);
    lab.write("Containerfile", "FROM box\nRUN date +%N > /when\nENV A=1\n");
    let flags = format!("--tls-verify=false --cache-to {cache} --cache-from {cache}");
    let first = lab.ok(&format!("build {flags} -t made ."));
    assert!(first.contains("--> Pushing cache"), "{first}");
    let made = lab.ok("image inspect --format {{.Id}} made");
    lab.ok("rmi -f made");
    lab.ok("image prune -f");
    let second = lab.ok(&format!("build {flags} -t made ."));
    assert!(second.contains("--> Cache pulled from remote"), "{second}");
    assert_eq!(lab.ok("image inspect --format {{.Id}} made"), made);
    if !differs_on_purpose("a cache is nothing to run") {
        assert_eq!(lab.ok("images --format '{{.Repository}}'"), "localhost/made\nlocalhost/box");
    }
}

#[test]
fn a_git_repository_is_a_context() {
    let lab = Lab::new();
    if !crate::lab::has_program("git") {
        return crate::lab::skip("there is no git");
    }
    let script = "mkdir -p repo.git/sub && cd repo.git && git init -q -b main . && echo one > f && echo two > sub/f && \
                  echo 'FROM scratch\nCOPY f /f' | tee Containerfile > sub/Containerfile && git add . && \
                  git -c user.name=x -c user.email=x@x commit -qm x && git tag v1";
    lab.shell(script).run().ok();
    let url = format!("file://{}", lab.path("repo.git").display());
    for (place, content) in [("", "one"), ("#v1", "one"), ("#main:sub", "two")] {
        lab.ok(&format!("build -q -o out {url}{place}"));
        assert_eq!(lab.read("out/f").trim(), content, "{place}");
    }
    let error = lab.creel(&format!("build -q {url}#nosuch")).run().fails(125);
    assert!(error.contains("cloning file://"), "{error}");
}

#[test]
fn copied_files_are_in_the_history_by_digest() {
    let lab = Lab::new();
    lab.write("f", "content");
    lab.write("dir/g", "content");
    lab.write("Containerfile", "FROM scratch\nCOPY f /f\nADD dir /dir\nCOPY f dir/g /both/\n");
    lab.ok("build -q -t made .");
    let lines = lab.ok("history --no-trunc --format '{{.CreatedBy}}' made");
    let shown: Vec<String> = lines
        .lines()
        .map(|line| {
            let (before, after) = line.split_once(':').unwrap();
            format!("{before}:{}", after.trim_start_matches(|letter: char| letter.is_ascii_hexdigit()).trim_end())
        })
        .collect();
    let line = |text: &str| format!("/bin/sh -c #(nop) {text}");
    assert_eq!(shown, [line("COPY multi: in /both/"), line("ADD dir: in /dir"), line("COPY file: in /f")]);
}

#[test]
fn wrong_flags_are_refused_in_podmans_words_before_any_step() {
    let lab = Lab::new();
    lab.write("context/Containerfile", "FROM localhost/box\nRUN true\n");
    for (flags, why) in [
        ("build", "no context directory and no Containerfile specified"),
        ("build -t UPPER context", "tag UPPER: invalid reference format: repository name must be lowercase"),
        ("build --build-context x context", "while parsing additional build context: x, accepts value in the form"),
        (
            "build -v bad context",
            "validating volumes: incorrect volume format \"bad\", should be host-dir:ctr-dir[:option]",
        ),
        ("build -v name:/x context", "validating volumes: invalid host path, must be an absolute path \"name\""),
        (
            "build --platform a/b/c/d context",
            "invalid platform syntax for --platform=\"a/b/c/d\": \"a/b/c/d\": cannot parse",
        ),
    ] {
        let outcome = lab.creel(flags).run();
        assert!(outcome.fails(125).contains(why), "{flags}: {outcome}");
        assert!(!outcome.out().contains("STEP"), "{flags}: {outcome}");
    }
    lab.write("context/Containerfile", "FROM 127.0.0.1:1/nosuch\n");
    let error = lab.creel("build --retry 0 context").run().fails(125);
    assert!(
        error.contains("creating build container: unable to copy from source docker://127.0.0.1:1/nosuch"),
        "{error}"
    );
    let error = lab.creel("build --pull-never context").run().fails(125);
    assert!(error.contains("127.0.0.1:1/nosuch: image not known"), "{error}");
}

#[test]
fn the_builder_tells_what_it_is() {
    let lab = Lab::empty();
    assert!(lab.ok("buildx version").contains('.'));
    assert_eq!(lab.ok("buildx inspect"), lab.ok("builder inspect"));
    let text = lab.ok("buildx inspect");
    for line in ["Name:   default", "Endpoint:         default", "Status:           running"] {
        assert!(text.lines().any(|one| one == line), "{text}");
    }
    lab.ok("buildx prune --force");
}

#[test]
fn a_file_that_ends_in_in_is_read_by_cpp() {
    let lab = Lab::new();
    if !has_program("cpp") {
        return;
    }
    lab.write("context/base.h", "#define BASE localhost/box\n");
    let text =
        "#include \"base.h\"\nFROM BASE\n#ifdef EXTRA\nRUN echo extra > /said\n#else\nRUN echo plain > /said\n#endif\n";
    lab.write("context/Containerfile.in", text);
    lab.ok("build -q -t made -f context/Containerfile.in context");
    assert_eq!(lab.ok("run --rm --network none made cat /said"), "plain");
    lab.ok("build -q -t made --cpp-flag=-DEXTRA -f Containerfile.in context");
    assert_eq!(lab.ok("run --rm --network none made cat /said"), "extra");
    lab.write("context/bad.in", "#include \"nosuch.h\"\nFROM localhost/box\n");
    let error = lab.creel("build -q -f context/bad.in context").run().fails(125);
    assert!(error.contains("nosuch.h"), "{error}");
}

#[test]
fn version_and_features_of_the_system_are_in_the_image_and_its_list() {
    let lab = Lab::new();
    let text = "FROM localhost/box\nRUN true\n";
    built(&lab, text, "--os-version 7 --os-feature a --os-feature b --manifest list");
    let platform = &lab.json("manifest inspect list")["manifests"][0]["platform"];
    assert_eq!((&platform["os.version"], &platform["os.features"]), (&"7".into(), &serde_json::json!(["a", "b"])));
    lab.write("context/Containerfile", "FROM localhost/made\nRUN true\n");
    lab.ok("build -q -t second --os-feature a- --manifest other context");
    let platform = &lab.json("manifest inspect other")["manifests"][0]["platform"];
    assert_eq!((&platform["os.version"], &platform["os.features"]), (&"7".into(), &serde_json::json!(["b"])));
}

#[test]
fn what_run_writes_to_a_volume_may_be_thrown_away() {
    let lab = Lab::new();
    let text = "FROM localhost/box\nRUN mkdir /v && echo old > /v/old\nVOLUME /v\nRUN cat /v/old && echo new > /v/new\nRUN ls /v > /seen\n";
    built(&lab, text, "--compat-volumes");
    assert_eq!(lab.ok("run --rm --network none made cat /seen"), "old");
    built(&lab, text, "");
    assert_eq!(lab.ok("run --rm --network none made cat /seen"), "new\nold");
}

#[test]
fn an_image_is_built_for_every_platform_of_its_bases() {
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let archive = lab.write("layer.tar", &box_draft().layers[0]);
    lab.ok(&format!("import -q --arch arm64 {} other", archive.display()));
    lab.ok("manifest create list localhost/box localhost/other");
    let name = registry.name("base:1");
    lab.ok(&format!("manifest push -q --all --tls-verify=false list docker://{name}"));
    lab.ok("manifest rm list");
    lab.write("context/Containerfile", format!("FROM {name}\nLABEL a=b\n"));
    lab.ok("build --all-platforms --tls-verify=false --logsplit --logfile log --manifest made context");
    let list = lab.json("manifest inspect made");
    let of = |at: usize| list["manifests"][at]["platform"]["architecture"].as_str().unwrap_or_default().to_owned();
    let mut found = [of(0), of(1)];
    found.sort();
    assert_eq!(found, ["amd64", "arm64"], "{list}");
    assert!(lab.read("log_linux_arm64").contains("[linux/arm64] STEP 2/2: LABEL a=b"));
    assert!(lab.read("log_linux_amd64").contains("[linux/amd64] STEP 2/2: LABEL a=b"));
}

#[test]
fn a_stage_does_what_the_stage_below_it_has_for_those_on_it() {
    let lab = Lab::new();
    let text = "FROM localhost/box AS base\nONBUILD RUN echo here > /here\nFROM base\nRUN cat /here > /seen\n";
    built(&lab, text, "--format docker");
    assert_eq!(lab.ok("run --rm --network none made cat /seen"), "here");
}

#[test]
fn several_files_make_a_directory_and_parents_begin_at_the_dot() {
    let lab = Lab::new();
    for name in ["a.txt", "b.txt", "d/e/f/deep"] {
        lab.write(&format!("context/{name}"), name);
    }
    let text = "FROM localhost/box AS twice\nFROM localhost/box AS twice\nCOPY a.txt b.txt /many\nCOPY --parents d/./e/f /some/\n";
    built(&lab, text, "");
    assert_eq!(lab.ok("run --rm --network none made sh -c 'cat /many/a.txt; cat /some/e/f/deep'"), "a.txtd/e/f/deep");
}

#[test]
fn scripts_in_the_file_are_in_the_history() {
    let lab = Lab::new();
    let text = "FROM localhost/box\nRUN cat <<A > /one && cat <<B > /two\n1\nA\n2\nB\nCOPY <<A <<B /three/\n1\nA\n2\nB\nRUN [\"true\"]\n";
    lab.write("context/Containerfile", text);
    let said = lab.ok("build --no-cache -t made context");
    assert!(said.contains("STEP 2/4: RUN cat <<A > /one && cat <<B > /two (1) (2)\n"), "{said}");
    let history = lab.ok("history --no-trunc --format {{.CreatedBy}} made");
    assert!(history.starts_with("/bin/sh -c [\"true\"]\n/bin/sh -c #(nop) COPY multi:"), "{history}");
    assert!(history.contains("\n/bin/sh -c cat <<A > /one && cat <<B > /two\n1\n2\n"), "{history}");
}

#[test]
fn nothing_at_all_begins_at_the_root() {
    let lab = Lab::new();
    lab.write("context/file", "");
    built(&lab, "FROM scratch\nCOPY file /\n", "");
    assert_eq!(lab.ok("image inspect --format {{.Config.WorkingDir}} made"), "/");
}

#[test]
fn archives_of_every_common_compression_are_unpacked_by_add() {
    let lab = Lab::new();
    lab.write("content/file", "content");
    let mut text = String::from("FROM localhost/box\n");
    let mut expected = Vec::new();
    for (program, flag) in [("gzip", "-z"), ("bzip2", "-j"), ("xz", "-J")] {
        if has_program(program) {
            let archive = lab.write(&format!("context/{program}.tar"), "");
            let mut tar = std::process::Command::new("tar");
            tar.arg("-c").arg(flag).arg("-f").arg(&archive).arg("-C");
            assert!(tar.arg(lab.path("content")).arg("file").status().unwrap().success());
            text.push_str(&format!("ADD {program}.tar /{program}/\nRUN cat /{program}/file >> /all\n"));
            expected.push("content");
        }
    }
    built(&lab, &text, "");
    assert_eq!(lab.ok("run --rm --network none made cat /all"), expected.concat());
}
