# Analysis: what is measured besides the runs.


rule measure_floors:
    input:
        store=f"{STUDY}/data/voxel_denoising/store",
        validation=f"{STUDY}/data/voxel_denoising/index/validation.npy",
    output:
        table=f"{STUDY}/tables/floors/voxel_denoising.parquet",
        csv=f"{STUDY}/tables/floors/voxel_denoising.csv",
    log:
        f"{STUDY}/logs/measure_floors.log",
    benchmark:
        f"{STUDY}/benchmarks/measure_floors.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=config["analysis"]["interpolation_floors"],
        code=code_digest("equidyn.analysis.interpolation"),
    message:
        "Measuring what rotating grids costs by itself"
    script:
        "../workflow/scripts/measure_floors.py"
