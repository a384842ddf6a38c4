import { classify, load } from "./classify.js";

const [input, list] = [document.querySelector("input"), document.querySelector("ul")];
const model = await load("model.onnx");
input.disabled = false;
input.onchange = async () => {
  for (const file of input.files) {
    const row = list.appendChild(document.createElement("li"));
    try {
      const { label, probability, typicality } = await classify(model, file);
      const unusual = typicality !== null && typicality <= 0.01 ? ", unlike what the model has learned" : "";
      row.textContent = `${file.name}: ${label} (${(probability * 100).toFixed(1)} %${unusual})`;
    } catch (error) {
      row.textContent = `${file.name}: ${error.message}`;
    }
  }
};
