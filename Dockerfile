# The study in a container, with the versions of envs/lock.txt: docker build --tag equidyn .
# docker run --rm --volume "$PWD/results:/equidyn/results" equidyn make run
FROM python:3.11-slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /equidyn
COPY . .
RUN make .venv/study && .venv/bin/python -m pip cache purge
CMD ["make", "run"]
