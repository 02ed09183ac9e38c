//! `build`

use crate::lab::Lab;

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
